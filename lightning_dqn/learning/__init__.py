"""One update of the weights: target, loss, gradients, optimizer."""
