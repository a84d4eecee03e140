package io.github.dl4jretention.sweep.report;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
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
}
