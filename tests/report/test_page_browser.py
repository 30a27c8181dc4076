"""The page in a real browser; skipped where there is none."""

import shutil

import numpy as np
import pytest
from sweeps import job, row, write_trials

from nasrun.report.experiment import write_report

api = pytest.importorskip("playwright.sync_api", reason="no playwright here")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no chromium here"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]  # as root, in a container
REPORT = {
    "name": "f", "title": "A <b>board</b> & more", "labels": {"rea": "R-EA"},
    "columns": ["score", "table_rank", "published"],
    "published": "nb201_baselines", "figures": ["box", "sorted", "anytime"],
}  # fmt: skip
CELL = [("0", "1", "skip_connect"), ("0", "2", "none"), ("1", "2", "nor_conv_3x3")]
MEANS = {"random": 93.0, "rea": 94.0, "local_search": 93.5}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    generator = np.random.default_rng(0)
    rows = []
    for task in ("cifar10", "cifar100"):
        for name, mean in MEANS.items():
            rewards = generator.normal(mean, 0.5, (12, 6)).round(2)
            if task == "cifar10":
                job(folder / name, name, rewards.tolist())
            rows += [
                row(name, seed, best, task, reward=best)
                for seed, best in enumerate(rewards.max(axis=1))
            ]
    write_trials(folder, rows)
    write_report(folder, REPORT, edges=lambda *_: CELL)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, page_file):
    """Opens the page; afterwards nothing may have gone wrong or been fetched."""
    said, asked, pages = [], [], []

    def open_page(width=1280, **options):
        page = browser.new_page(viewport={"width": width, "height": 800}, **options)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        page.wait_for_selector("svg.panel")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def column(page, number):
    return page.locator(f".wide >> nth=1 >> tbody tr > :nth-child({number})").all_inner_texts()


def test_a_click_on_a_header_sorts_by_figures_and_back(opened):
    page = opened()
    header = page.locator(".wide >> nth=1 >> thead button").nth(1)
    header.click()
    falling = [float(text.split()[0]) for text in column(page, 2)]
    assert falling == sorted(falling, reverse=True)
    header.click()
    assert [float(text.split()[0]) for text in column(page, 2)] == sorted(falling)
    page.locator(".wide >> nth=1 >> thead button").nth(0).click()
    assert column(page, 1) == ["local_search", "R-EA", "random"]


def test_empty_cells_stay_below_whichever_way(opened):
    page = opened()
    header = page.locator(".wide >> nth=1 >> thead button").nth(3)  # published: not local_search
    for _ in range(2):
        header.click()
        assert column(page, 4)[-1] == ""
        assert "" not in column(page, 4)[:-1]


@pytest.mark.parametrize("kind", ["lines", "boxes", "ranks"])
def test_pointing_at_a_figure_reads_its_values(opened, kind):
    page = opened()
    place = page.evaluate("kind => charts.findIndex((chart) => chart.kind === kind)", kind)
    panel = page.locator(f'.chart[data-chart="{place}"] svg.panel').first
    target = panel if kind == "lines" else panel.locator(".strip").first
    assert page.locator("#tip").is_hidden()
    target.scroll_into_view_if_needed()
    target.hover()
    tip = page.locator("#tip").inner_text()
    wanted = {"lines": "R-EA", "boxes": "mean (circle)", "ranks": "average rank"}
    assert wanted[kind] in tip
    assert any(letter.isdigit() for letter in tip)
    page.mouse.move(1, 1)
    assert page.locator("#tip").is_hidden()


def test_the_box_of_a_method_reads_its_mean(opened):
    page = opened()
    shown = dict(zip(column(page, 1), column(page, 2), strict=True))
    strip = page.locator(".chart >> nth=0 >> svg.panel >> nth=0 >> .strip").first
    strip.hover()
    name, *lines = page.locator("#tip").inner_text().splitlines()
    (mean,) = [line.split()[-1] for line in lines if "mean" in line and "minus" not in line]
    assert f"{float(mean):.2f}" == shown[name].split()[0]


def test_a_name_hides_its_line(opened):
    page = opened()
    place = page.evaluate("charts.findIndex((chart) => chart.kind === 'lines')")
    chart = page.locator(f'.chart[data-chart="{place}"]')
    before = chart.locator("path.series").count()
    chart.get_by_role("button", name="R-EA").click()
    assert chart.locator("path.series").count() == before - 2  # a line on each of two tasks


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(opened, scheme):
    page = opened(width=360, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")


def test_titles_are_text_and_the_winners_are_drawn(opened):
    page = opened()
    assert page.locator("h1").inner_text() == "A <b>board</b> & more"
    widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert widths
    assert all(widths)
