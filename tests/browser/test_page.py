"""The page in a real browser: the agent, the rules, the keyboard, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from lightning_dqn.games.game import Game
from lightning_dqn.games.play.strength import calibrate, temperature_for
from lightning_dqn.games.tictactoe import TicTacToe

WAIT_SECONDS = 60


class Page:
    """The page as its own scripts and a person see it."""

    def __init__(self, driver: Any, site: Any) -> None:
        self.driver, self.site = driver, site
        driver.get(site.address)
        self.wait("return window.lightningDqn && document.querySelector('[data-q]') !== null")

    def wait(self, script: str) -> None:
        WebDriverWait(self.driver, WAIT_SECONDS, 0.05).until(lambda d: d.execute_script(script))

    def call(self, expression: str, *arguments: Any) -> Any:
        """Return what a promise comes to, ``{"error": message}`` if it is broken."""
        script = f"""
            const done = arguments[arguments.length - 1];
            Promise.resolve().then(() => {expression})
                .then(done, (error) => done({{ error: error.message }}));"""
        return self.driver.execute_async_script(script, *arguments)

    def new_game(self, starts: str = "you", temperature: float = 0.0) -> None:
        self.call(
            "lightningDqn.newGame(arguments[0])", {"starts": starts, "temperature": temperature}
        )

    def play(self, action: int) -> Any:
        return self.call("lightningDqn.play(arguments[0])", action)

    @property
    def state(self) -> dict[str, Any]:
        return self.call("lightningDqn.state")

    @property
    def status(self) -> str:
        return self.driver.find_element(By.ID, "status").text

    def cell(self, cell: int) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, f"[data-cell='{cell}']")

    def position(self) -> np.ndarray:
        """Return the Python game's state after the page's moves, [1, ...]."""
        return replayed(self.site.game, [move["action"] for move in self.state["moves"]])


def replayed(game: Game, actions: list[int]) -> np.ndarray:
    state = game.initial_state(1)
    for action in actions:
        state = game.apply(state, np.array([action]))
    return state


@pytest.fixture
def page(driver, tictactoe) -> Page:
    return Page(driver, tictactoe)


@pytest.fixture
def four(driver, connect_four) -> Page:
    return Page(driver, connect_four)


@pytest.fixture(params=["tictactoe", "connect_four", "perfect"])
def every_page(request, driver) -> Page:
    return Page(driver, request.getfixturevalue(request.param))


@pytest.fixture(params=["tictactoe", "connect_four"])
def any_page(request, driver) -> Page:
    return Page(driver, request.getfixturevalue(request.param))


# --- the rules and the network are those of Python


RANDOM_GAMES = """
const [games, encodings, seed] = arguments;
const { rules } = lightningDqn;
let number = seed;
const random = () => (number = (number * 16807) % 2147483647) / 2147483647;
return Array.from({ length: games }, () => {
  const actions = [];
  const positions = [];
  for (let state = rules.initial(); ; ) {
    const legal = rules.legal(state);
    const { isOver, score } = rules.outcome(state);
    const encoded = encodings.map((name) => Array.from(rules.encode(state, name), Number));
    const cells = legal.map((action) => rules.cellOf(state, action));
    positions.push({ legal, isOver, score: score || 0, encoded, cells,
                     board: Array.from(rules.board(state), (piece) => piece || 0),
                     line: rules.line(state) });
    if (isOver) return { actions, positions };
    actions.push(legal[Math.floor(random() * legal.length)]);
    state = rules.apply(state, actions.at(-1));
  }
});
"""


@pytest.mark.parametrize(
    ("site", "encodings", "games"),
    [("tictactoe", ["signed", "planes", "index"], 300), ("connect_four", ["planes"], 100)],
)
def test_the_rules_are_those_of_python(site, encodings, games, driver, request):
    page = Page(driver, request.getfixturevalue(site))
    game = page.site.game
    encoders = [TicTacToe(name) for name in encodings] if site == "tictactoe" else [game]
    played = driver.execute_script(RANDOM_GAMES, games, encodings, 7)
    results = set()
    for record in played:
        state = game.initial_state(1)
        for position, action in zip(record["positions"], [*record["actions"], None], strict=True):
            outcome = game.outcome(state)
            assert position["legal"] == np.flatnonzero(game.legal_moves(state)[0]).tolist()
            assert position["isOver"] == bool(outcome.is_over[0])
            assert position["score"] == int(outcome.score[0])
            assert position["board"] == game.board(state).ravel().tolist()
            columns = game.board_shape[1]
            places = [game.action_cell(action, state) for action in position["legal"]]
            assert position["cells"] == [row * columns + column for row, column in places]
            for encoder, encoded in zip(encoders, position["encoded"], strict=True):
                assert encoded == np.ravel(encoder.encode(state)).tolist()
            assert bool(position["line"]) == bool(outcome.score[0])
            results.add(int(outcome.score[0]) if outcome.is_over[0] else None)
            if action is not None:
                state = game.apply(state, np.array([action]))
    assert {None, -1} <= results


def test_the_values_are_those_of_torch_in_every_position(every_page):
    page, generator = every_page, np.random.default_rng(0)
    compared = 0
    for temperature in (0.0, 10.0) * 2:
        page.new_game("agent" if temperature else "you", temperature)
        while page.state["toMove"] == "you":
            legal = page.state["legal"]
            expected = page.site.module.q_values(page.site.game.encode(page.position()))[0]
            np.testing.assert_allclose(page.call("lightningDqn.qValues()"), expected, atol=1e-5)
            shown = page.driver.execute_script(
                "return [...document.querySelectorAll('[data-q]')].map((c) => Number(c.dataset.q))"
            )
            np.testing.assert_allclose(sorted(shown), sorted(expected[legal].tolist()), atol=1e-5)
            best = page.driver.execute_script(
                "return [...document.querySelectorAll('[data-best]')].map((c) => c.dataset.q)"
            )
            assert float(best[0]) == pytest.approx(float(expected[legal].max()), abs=1e-5)
            compared += 1
            page.play(int(generator.choice(legal)))
    # Who begins a tic-tac-toe is asked at least three times, who doesn't at least twice.
    assert compared >= 2 * (3 + 2)


# --- whole games


def test_a_whole_game_has_legal_answers_and_is_counted(any_page):
    page = any_page
    page.new_game("you", 0.5)
    while page.state["toMove"] == "you":
        page.play(page.state["legal"][0])
    state, game = page.state, page.site.game
    position = game.initial_state(1)
    for number, move in enumerate(state["moves"]):
        assert move["by"] == ("you", "agent")[number % 2]
        assert game.legal_moves(position)[0, move["action"]]
        position = game.apply(position, np.array([move["action"]]))
    assert game.outcome(position).is_over[0]
    assert state["counts"][state["result"]] == 1
    assert sum(state["counts"].values()) == 1
    counted = page.driver.find_element(By.ID, f"score-{state['result']}").text
    assert counted == "1"
    texts = {"you": "You win!", "agent": "The agent wins.", "draws": "A draw."}
    assert page.status == texts[state["result"]]
    line = page.driver.find_elements(By.CSS_SELECTOR, ".cell.line")
    assert (len(line) >= 3) == (state["result"] != "draws")
    page.new_game("alternate")
    assert page.state["moves"][0]["by"] == "agent"


def test_a_game_of_the_users_own_needs_no_more_than_its_rules(driver, own_game):
    page = Page(driver, own_game)
    assert driver.find_element(By.ID, "title").text == "My game"
    page.new_game("agent")
    while page.state["toMove"] == "you":
        page.play(page.state["legal"][0])
    assert page.state["isOver"]


def test_a_move_outside_the_board_is_a_button_below_it(driver, passing):
    page = Page(driver, passing)
    [button] = driver.find_elements(By.CSS_SELECTOR, "#others button")
    value = f"{abs(page.call('lightningDqn.qValues()')[2]):.2f}"
    assert button.text.startswith("pass ")
    assert value in button.text
    assert len(driver.find_elements(By.CSS_SELECTOR, ".cell[data-q]")) == 2
    button.click()
    page.wait("return lightningDqn.state.moves.length >= 2")
    first = page.state["moves"][0]
    assert first == {"action": 2, "by": "you"}
    while page.state["toMove"] == "you":
        page.play(page.state["legal"][0])
    page.wait("return document.querySelector('#others').hidden")


def test_at_full_strength_every_win_at_hand_is_taken(driver, perfect):
    page, chances = Page(driver, perfect), 0
    game = page.site.game
    # Among equally good moves chance decides, so how often a win is at hand differs.
    for first in (1, 3, 7, 5, 0, 8, 2, 6) * 2:
        if chances >= 3:
            break
        page.new_game()
        page.play(first)
        while page.state["toMove"] == "you":
            page.play(page.state["legal"][-1])
        state = game.initial_state(1)
        for move in page.state["moves"]:
            following = game.apply(np.repeat(state, 9, axis=0), np.arange(9))
            wins = game.legal_moves(state)[0] & (game.outcome(following).score < 0)
            if move["by"] == "agent" and wins.any():
                assert wins[move["action"]]
                chances += 1
            state = game.apply(state, np.array([move["action"]]))
        assert page.state["result"] != "you"
    assert chances >= 3


def test_random_strength_strays_from_the_best_move(page):
    answers = set()
    for _ in range(12):
        page.new_game("agent", 1e6)
        answers.add(page.state["moves"][0]["action"])
    assert len(answers) > 2


def test_undo_takes_back_the_move_and_its_answer(page):
    page.new_game()
    page.play(4)
    page.play(page.state["legal"][0])
    before = page.state["moves"]
    page.driver.find_element(By.ID, "undo").click()
    page.wait("return lightningDqn.state.moves.length === 2")
    assert page.state["moves"] == before[:2]
    assert page.state["toMove"] == "you"


def test_undo_of_the_last_move_takes_back_the_count(page):
    page.new_game()
    while page.state["toMove"] == "you":
        page.play(page.state["legal"][0])
    page.driver.find_element(By.ID, "undo").click()
    page.wait("return !lightningDqn.state.isOver")
    assert sum(page.state["counts"].values()) == 0


def test_a_new_game_during_the_agents_thought_is_not_disturbed(page):
    page.call("(lightningDqn.play(4).catch(() => 0), 1)")
    page.new_game()
    page.driver.execute_async_script("setTimeout(arguments[0], 900)")
    assert page.state["moves"] == []


# --- what is refused


def moves_that_fill_a_column(site: Any) -> tuple[list[int], int]:
    """Return moves of the person, and the column that is full after the agent's best answers."""
    generator, game = np.random.default_rng(0), site.game
    for _ in range(2_000):
        state, moves = game.initial_state(1), []
        while not game.outcome(state).is_over[0]:
            legal = game.legal_moves(state)[0]
            if not legal.all():
                return moves, int(legal.argmin())
            moves.append(int(generator.choice(7)))
            state = game.apply(state, np.array([moves[-1]]))
            if not game.outcome(state).is_over[0]:
                mask = game.legal_moves(state)
                state = game.apply(state, site.module.act(game.encode(state), mask))
    raise AssertionError("no game found in which a column is filled")


def test_an_illegal_move_is_refused_and_changes_nothing(any_page):
    page = any_page
    moves, taken = [0], 0
    if page.site.game.name == "connect_four":
        moves, taken = moves_that_fill_a_column(page.site)
    page.new_game()
    for action in moves:
        page.play(action)
    before = page.state
    assert before["toMove"] == "you"
    result = page.play(taken)
    assert f"{taken + 1} is not a legal move" in result["error"]
    assert page.status == result["error"]
    assert page.state == before
    page.driver.execute_script("document.getElementById('status').textContent = ''")
    page.driver.execute_script(
        "document.querySelector(`[data-cell='${arguments[0]}']`)"
        ".dispatchEvent(new MouseEvent('click', { bubbles: true }))",
        taken,
    )
    assert f"{taken + 1} is not a legal move" in page.status
    assert page.state == before


@pytest.mark.parametrize("action", [-1, 9, 1.5, "4", None])
def test_what_is_no_move_is_refused(action, page):
    page.new_game()
    assert "There is no move" in page.play(action)["error"]
    assert page.state["moves"] == []


def test_a_move_in_the_agents_turn_or_after_the_end_is_refused(page):
    page.new_game()
    result = page.call("(lightningDqn.play(4), lightningDqn.play(0))")
    assert result["error"] == "Wait for the agent's move."
    page.wait("return lightningDqn.state.toMove === 'you'")
    page.wait("return document.querySelector('[data-q]') !== null")
    while page.state["toMove"] == "you":
        page.play(page.state["legal"][0])
    assert "over" in page.play(0)["error"]


def test_a_temperature_or_starter_that_is_none_is_refused(page):
    assert "temperature" in page.call("lightningDqn.newGame({temperature: -1})")["error"]
    assert "starts" in page.call("lightningDqn.newGame({starts: 'me'})")["error"]


# --- the keyboard


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.driver.switch_to.active_element.send_keys(key)


def settle(page: Page) -> None:
    page.wait("return lightningDqn.state.isOver || document.querySelector('[data-q]') !== null")


def test_a_game_is_played_by_keyboard_alone(any_page):
    page = any_page
    press(page, "n")
    settle(page)
    for _ in range(20):
        if page.driver.switch_to.active_element.get_attribute("role") == "gridcell":
            break
        press(page, Keys.TAB)
    focused = page.driver.switch_to.active_element
    assert focused.get_attribute("role") == "gridcell"
    press(page, Keys.HOME)
    assert page.driver.switch_to.active_element.get_attribute("data-cell") in ("3", "21")
    press(page, Keys.ENTER)
    settle(page)
    assert page.state["moves"][0]["action"] == (3 if page.site.game.name == "tictactoe" else 0)
    press(page, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    columns = page.site.game.board_shape[1]
    cell = page.driver.switch_to.active_element
    assert int(cell.get_attribute("data-cell")) % columns == 1
    press(page, " ")
    settle(page)
    while page.state["toMove"] == "you":
        press(page, str(page.state["legal"][-1] + 1))
        settle(page)
    assert page.state["isOver"]
    assert len(page.driver.find_elements(By.CSS_SELECTOR, "[tabindex='0']")) == 1


def test_v_hides_and_shows_the_values(page):
    page.new_game()
    assert "value" in page.cell(4).get_attribute("aria-label")
    press(page, "v")
    assert page.driver.find_elements(By.CSS_SELECTOR, "[data-q]") == []
    assert page.cell(4).get_attribute("aria-label") == "row 2, column 2, empty"
    press(page, "v")
    assert len(page.driver.find_elements(By.CSS_SELECTOR, "[data-q]")) == 9


def test_cells_say_where_they_are_and_whose(page):
    page.new_game()
    value = page.cell(5).text
    assert page.cell(5).get_attribute("aria-label") == f"row 2, column 3, empty, value {value}"
    page.play(5)
    assert page.cell(5).get_attribute("aria-label") == "row 2, column 3, yours"
    answer = page.state["moves"][1]["action"]
    assert page.cell(answer).get_attribute("aria-label").endswith("the agent's")
    assert page.driver.find_element(By.ID, "board").get_attribute("role") == "grid"
    assert page.driver.find_element(By.ID, "status").get_attribute("aria-live") == "polite"


def test_a_piece_falls_wherever_its_column_is_clicked(four):
    four.new_game()
    assert "drops to row 6, value" in four.cell(9).get_attribute("aria-label")
    four.cell(9).click()
    four.wait("return lightningDqn.state.moves.length >= 2")
    assert four.state["moves"][0]["action"] == 2
    assert four.cell(37).get_attribute("aria-label") == "row 6, column 3, yours"


# --- strength


def dial(page: Page, score: int) -> str:
    page.driver.execute_script(
        "const slider = document.getElementById('strength'); slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input', { bubbles: true }));",
        score,
    )
    return page.driver.find_element(By.CLASS_NAME, "strength").text.replace("\u00a0", " ")


def test_the_dial_says_what_it_means(page):
    text = dial(page, 75)
    assert "Capable" in text
    assert "Scores 75 % against a random player: wins" in text
    assert "Against a perfect player: draws" in text
    assert 0 < page.state["temperature"] < 100
    assert "Best move always" in dial(page, 100)
    assert page.state["temperature"] == 0
    assert "Random moves" in dial(page, 0)
    slider = page.driver.find_element(By.ID, "strength")
    assert slider.get_attribute("aria-valuetext").endswith("Random moves")


def test_the_dial_asks_for_the_temperature_that_python_finds(page):
    strengths = calibrate(page.site.module, page.site.game)
    for score in (60, 75, 90):
        dial(page, score)
        expected = temperature_for(strengths, score / 100)
        assert page.state["temperature"] == pytest.approx(expected, rel=1e-3)


def test_a_counted_strength_says_of_how_many_games(four):
    assert "Counted in 100 games." in dial(four, 0)


# --- looks and failures


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_width_needs_scrolling_sideways(width, any_page):
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    any_page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        any_page.driver.refresh()
        any_page.wait("return document.querySelector('[data-q]') !== null")
        for action in (3, 2):
            any_page.play(action)
        widest = any_page.driver.execute_script(
            "return Math.max(document.documentElement.scrollWidth,"
            "...[...document.querySelectorAll('main *')]"
            ".map((element) => element.getBoundingClientRect().right))"
        )
        assert widest <= width
        sizes = any_page.driver.execute_script(
            "return [...document.querySelectorAll('.value')].map((value) =>"
            "[value, value.parentElement].map((e) => e.getBoundingClientRect().width))"
        )
        assert sizes
        assert all(value < cell for value, cell in sizes)
    finally:
        any_page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(scheme, page):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        page.new_game()
        page.play(4)
        pairs = page.driver.execute_script(CONTRASTS)
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert len(pairs) > 15
    assert [pair for pair in pairs if pair[1] < 4.5] == []


CONTRASTS = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (color) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = (color) => {
  const [r, g, b] = rgba(color).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const color = getComputedStyle(e).backgroundColor;
    if (rgba(color)[3] > 250) return color;
  }
};
const hasText = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
return [...document.querySelectorAll("main *")]
  .filter((e) => hasText(e) && e.checkVisibility({ visibilityProperty: true }))
  .filter((e) => !(e.closest("button")?.disabled))
  .map((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    return [e.textContent.slice(0, 30), (a + 0.05) / (b + 0.05)];
  });
"""


def notice(driver: Any) -> str:
    WebDriverWait(driver, WAIT_SECONDS).until(
        lambda d: d.find_element(By.ID, "notice").is_displayed()
    )
    return driver.find_element(By.ID, "notice").text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", b"not a model", "model.onnx is not a model"),
        ("model.onnx", None, "model.onnx can't be loaded: the server says 404"),
        ("game.json", b"{", "game.json"),
        ("rules/tictactoe.js", None, "The rules in rules/tictactoe.js can't be loaded"),
        ("onnxruntime/ort.wasm.bundle.min.mjs", None, "The runtime in the folder onnxruntime/"),
        ("onnxruntime/ort-wasm-simd-threaded.wasm", None, "The runtime in the folder onnxruntime/"),
    ],
)
def test_a_file_that_is_broken_or_missing_is_told_on_the_page(
    name, content, message, driver, tictactoe
):
    path: Path = tictactoe.folder / name
    whole = path.read_bytes()
    try:
        path.unlink() if content is None else path.write_bytes(content)
        driver.get(tictactoe.address)
        text = notice(driver)
    finally:
        path.write_bytes(whole)
    assert message in text
    assert "python -m lightning_dqn play" in text
    assert not driver.find_element(By.ID, "play").is_displayed()


def test_the_model_of_another_game_is_told_on_the_page(driver, tictactoe, connect_four):
    model = tictactoe.folder / "model.onnx"
    whole = model.read_bytes()
    try:
        shutil.copy(connect_four.folder / "model.onnx", model)
        driver.get(tictactoe.address)
        text = notice(driver)
    finally:
        model.write_bytes(whole)
    assert "model.onnx doesn't take what Tic-tac-toe shows it" in text


def test_a_page_opened_as_a_file_says_how_to_serve_it(driver, tictactoe):
    driver.get((tictactoe.folder / "index.html").as_uri())
    assert "python -m http.server" in notice(driver)


def test_nothing_is_blocked_by_the_pages_own_policy(page):
    page.driver.get_log("browser")
    page.driver.refresh()
    page.wait("return document.querySelector('[data-q]') !== null")
    page.play(4)
    complaints = [entry for entry in page.driver.get_log("browser") if entry["level"] != "INFO"]
    assert complaints == []
