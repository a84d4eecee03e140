package io.github.dl4jretention.sweep.report;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.htmlunit.WebClient;
import org.htmlunit.html.DomElement;
import org.htmlunit.html.HtmlElement;
import org.htmlunit.html.HtmlPage;
import org.htmlunit.html.HtmlTable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The page in a browser, opened from the disk; every error of its script is thrown. */
class ReportScriptTest {

    @TempDir
    private Path folder;

    private final WebClient browser = new WebClient();
    private HtmlPage page;

    @BeforeEach
    void open() throws IOException {
        Path file = Files.writeString(folder.resolve("report.html"), HtmlReport.of(HtmlReportTest.sweep()));
        page = browser.getPage(file.toUri().toURL());
    }

    @AfterEach
    void close() {
        browser.close();
    }

    private HtmlTable table() {
        return page.getHtmlElementById("candidates");
    }

    private DomElement head(String column) {
        return table().getRow(0).getCells().stream()
                .filter(cell -> cell.getTextContent().equals(column))
                .findFirst()
                .orElseThrow();
    }

    private void click(String column) throws IOException {
        ((HtmlElement) head(column).getFirstElementChild()).click();
    }

    /** First column of all rows. */
    private List<String> order() {
        return table().getBodies().get(0).getRows().stream()
                .map(row -> row.getCell(0).getTextContent())
                .toList();
    }

    @Test
    void a_click_sorts_by_numbers_and_another_the_other_way_round_with_blanks_last() throws IOException {
        assertEquals(List.of("0", "1", "2", "3", "4"), order());
        click("gain");
        assertEquals(List.of("2", "1", "0", "3", "4"), order());
        assertEquals("ascending", head("gain").getAttribute("aria-sort"));
        click("gain");
        assertEquals(List.of("0", "1", "2", "3", "4"), order());
        assertEquals("descending", head("gain").getAttribute("aria-sort"));
        click("coefficient");
        assertEquals("", head("gain").getAttribute("aria-sort"));
        click("coefficient");
        assertEquals(List.of("3", "2", "1", "0", "4"), order());
    }

    @Test
    void words_come_after_numbers() throws IOException {
        click("score");
        assertEquals(List.of("1", "2", "0", "3", "4"), order());
        click("status");
        assertEquals(List.of("1", "2", "0", "4", "3"), order());
    }

    @Test
    void a_page_that_is_loaded_again_keeps_its_order() throws IOException {
        click("gain");
        page = (HtmlPage) page.refresh();
        assertEquals(List.of("2", "1", "0", "3", "4"), order());
        assertEquals("ascending", head("gain").getAttribute("aria-sort"));
    }

    private List<DomElement> parts(String figure, String className) {
        List<DomElement> found = new ArrayList<>();
        page.getElementById(figure).getDomElementDescendants().forEach(element -> {
            if (element.getAttribute("class").equals(className)) {
                found.add(element);
            }
        });
        return found;
    }

    @Test
    void who_points_at_a_candidate_or_tabs_to_it_is_told_below_the_plot_what_it_is() {
        DomElement note = parts("tradeoff", "note").get(0);
        String before = note.getTextContent();
        DomElement candidate = parts("tradeoff", "hover").get(1);
        candidate.mouseOver();
        assertEquals("#0: coefficient 0.5, learning rate 0.001, gain 0.5000, forgetting 0.3000", note.getTextContent());
        candidate.mouseOut();
        assertEquals(before, note.getTextContent());
    }

    @Test
    void the_page_of_a_running_sweep_loads_itself_again_until_the_sweep_has_finished() throws IOException {
        SweepOutcome done = HtmlReportTest.sweep();
        SweepOutcome running = new SweepOutcome(
                done.configuration(),
                done.score(),
                done.base(),
                null,
                7,
                3,
                false,
                done.candidates().subList(0, 1));
        Path file = Files.writeString(folder.resolve("running.html"), HtmlReport.of(running));
        page = browser.getPage(file.toUri().toURL());
        assertEquals(List.of("0"), order());
        Files.writeString(file, HtmlReport.of(done));
        browser.waitForBackgroundJavaScript(20_000);
        page = (HtmlPage) browser.getCurrentWindow().getEnclosedPage();
        assertEquals(List.of("0", "1", "2", "3", "4"), order());
        // No job is left that would load it again.
        assertEquals(0, browser.waitForBackgroundJavaScript(0));
    }
}
