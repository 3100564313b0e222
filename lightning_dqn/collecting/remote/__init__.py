"""Actors elsewhere: by Ray, with environments of their own and a copy of the policy."""
