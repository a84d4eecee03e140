package io.github.dl4jretention.sweep.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome.Status;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.plot.Plot;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.sweep.task.CurvePoint;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.RetentionScore;
import io.github.dl4jretention.sweep.task.RungScore;
import java.io.ByteArrayInputStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

class HtmlReportTest {

    private static final Losses BASE = new Losses(2.0, 1.0);

    private static CandidateOutcome complete(int index, double coefficient, double target, double source, Losses test) {
        Losses losses = new Losses(target, source);
        return new CandidateOutcome(
                index,
                Status.COMPLETE,
                new FinetuneConfiguration(
                        FinetuneMethod.RETENTION,
                        RetentionConfiguration.builder()
                                .coefficient(coefficient)
                                .build(),
                        0.001,
                        1,
                        2,
                        -1),
                null,
                RetentionScore.constrained(0.25).score(BASE, losses),
                losses,
                test,
                2,
                2,
                1,
                0.5,
                List.of(new CurvePoint(1, 2, 0), new CurvePoint(2, target, coefficient / 10)),
                List.of());
    }

    /** Of gains 0.5, 0.4, 0.1 and forgettings 0.3, 0.2, 0.25; one pruned, one failed. */
    static SweepOutcome sweep() {
        CandidateOutcome pruned = new CandidateOutcome(
                3,
                Status.PRUNED,
                complete(3, 9, 1, 1, null).configuration(),
                null,
                null,
                null,
                null,
                2,
                10,
                4,
                0.5,
                List.of(new CurvePoint(1, 2, Double.NaN)),
                List.of(new RungScore(2, 1.9)));
        return new SweepOutcome(
                Map.of("space", "a < b & \"c\""),
                RetentionScore.constrained(0.25),
                BASE,
                new Losses(2.1, 1.1),
                null,
                12.5,
                true,
                List.of(
                        complete(0, 0.5, 1.5, 1.3, new Losses(1.7, 1.4)),
                        complete(1, 1, 1.6, 1.2, new Losses(1.8, 1.25)),
                        complete(2, 2, 1.9, 1.25, null),
                        pruned,
                        CandidateOutcome.failed(4, null, "<script>alert('x')</script> ]]> \u0001 & more")));
    }

    private static Document parse(String html) throws Exception {
        assertTrue(html.startsWith("<!DOCTYPE html>\n"));
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        return factory.newDocumentBuilder()
                .parse(new InputSource(new StringReader(html.replaceFirst("<!DOCTYPE html>", ""))));
    }

    private static List<Element> all(Document page, String tag) {
        NodeList found = page.getElementsByTagName(tag);
        return IntStream.range(0, found.getLength())
                .mapToObj(i -> (Element) found.item(i))
                .toList();
    }

    private static Element byId(Document page, String id) {
        return all(page, "*").stream()
                .filter(element -> id.equals(element.getAttribute("id")))
                .findFirst()
                .orElseThrow(() -> new AssertionError("no element " + id));
    }

    /** What a reader of a plot is told, in the order in which it is drawn. */
    private static List<String> hovers(Document page, String figure, String tag) {
        NodeList found = byId(page, figure).getElementsByTagName(tag);
        return IntStream.range(0, found.getLength())
                .mapToObj(i -> (Element) found.item(i))
                .filter(element -> element.getAttribute("class").equals("hover"))
                .map(Element::getTextContent)
                .toList();
    }

    @Test
    void by_hand() {
        SweepOutcome sweep = sweep();
        assertEquals(
                List.of(1, 0),
                sweep.front().stream().map(CandidateOutcome::index).toList());
        // Reference (0, 0.3): 0.4 wide and 0.1 high below candidate 1; candidate 0 adds nothing.
        assertEquals(0.04, sweep.hypervolume(), 1e-12);
        assertEquals(1, sweep.recommended().orElseThrow().index());
        // 8 steps of 2 s were not trained; the score on the way stands in for the one at the end.
        assertEquals(16, sweep.secondsSaved(), 1e-12);
        assertEquals(sweep, SweepOutcome.fromJson(sweep.toJson()));
    }

    @Test
    void the_page_holds_everything_and_nothing_from_elsewhere() throws Exception {
        String html = HtmlReport.of(sweep());
        Document page = parse(html);
        for (Element element : all(page, "*")) {
            for (String attribute : List.of("src", "href", "srcset", "data", "action")) {
                assertFalse(element.hasAttribute(attribute), element.getTagName() + " " + attribute);
            }
        }
        assertFalse(
                html.contains("@import") || html.replace("url(#", "").contains("url("), "style sheets from elsewhere");

        assertEquals(3, all(page, "svg").size());
        // Three candidates and the base.
        assertEquals(
                List.of(
                        "base: the pretrained model",
                        "#0: coefficient 0.5, learning rate 0.001, gain 0.5000, forgetting 0.3000",
                        "#1: coefficient 1, learning rate 0.001, gain 0.4000, forgetting 0.2000",
                        "#2: coefficient 2, learning rate 0.001, gain 0.1000, forgetting 0.2500"),
                hovers(page, "tradeoff", "circle"));
        // A pruned one has a curve of one point, a failed one has none.
        assertEquals(
                List.of(
                        "#2: coefficient 2, learning rate 0.001",
                        "#0: coefficient 0.5, learning rate 0.001",
                        "#1: coefficient 1, learning rate 0.001"),
                hovers(page, "cross-entropy", "polyline"));
        assertEquals(List.of("#3: coefficient 9, learning rate 0.001"), hovers(page, "cross-entropy", "circle"));
        assertEquals(3, hovers(page, "divergence", "polyline").size());

        Element table = byId(page, "candidates");
        NodeList rows = table.getElementsByTagName("tr");
        assertEquals(1 + 5, rows.getLength());
        int columns = table.getElementsByTagName("th").getLength();
        for (int row = 1; row < rows.getLength(); row++) {
            assertEquals(
                    columns,
                    ((Element) rows.item(row)).getElementsByTagName("td").getLength());
        }
        assertTrue(rows.item(1).getTextContent().contains("forgets too much"));
        assertEquals("best", ((Element) rows.item(2)).getAttribute("class"));

        String recommended = byId(page, "recommended").getTextContent();
        assertTrue(recommended.contains("0.4000") && recommended.contains("0.2000"), recommended);
        assertTrue(recommended.contains("0.3000") && recommended.contains("0.1500"), "test text: " + recommended);
        assertEquals(
                "var tuned = sweep.finetune(new FinetuneConfiguration(FinetuneMethod.RETENTION, "
                        + "RetentionConfiguration.builder().coefficient(1.0).build(), 0.001, 1, 2, -1));",
                byId(page, "java").getTextContent());
        String summary = byId(page, "summary").getTextContent();
        assertTrue(summary.startsWith("5 candidates, 3 complete, 1 pruned, 1 failed"), summary);
        assertTrue(summary.contains("Pruning has saved 16 s"), summary);
        String note = byId(page, "tradeoff").getTextContent();
        assertTrue(note.contains("Hypervolume 0.04 against the reference point (gain 0, forgetting 0.3)"), note);
    }

    @Test
    void what_candidates_say_is_text_and_no_markup() throws Exception {
        Document page = parse(HtmlReport.of(sweep()));
        assertEquals(1, all(page, "script").size());
        String failures = byId(page, "failures").getTextContent();
        assertTrue(failures.contains("<script>alert('x')</script> ]]>"), failures);
        assertTrue(page.getDocumentElement().getTextContent().contains("a < b & \"c\""));
    }

    @Test
    void a_sweep_without_candidates_and_one_in_work() throws Exception {
        SweepOutcome done = sweep();
        SweepOutcome none = new SweepOutcome(done.configuration(), done.score(), BASE, null, 7, 0, false, List.of());
        Document page = parse(HtmlReport.of(none));
        assertTrue(byId(page, "summary").getTextContent().startsWith("Running: 0 of 7 candidates"));
        assertTrue(byId(page, "recommended").getTextContent().contains("No candidate has been trained to its end yet"));
        SweepOutcome failing = new SweepOutcome(
                done.configuration(),
                done.score(),
                BASE,
                BASE,
                2,
                1,
                true,
                List.of(CandidateOutcome.failed(0, null, "one"), CandidateOutcome.failed(1, null, "other")));
        String failed = byId(parse(HtmlReport.of(failing)), "recommended").getTextContent();
        assertTrue(failed.contains("No candidate was trained to its end"), failed);
        assertFalse(failed.contains("keep the model"), failed);
        assertTrue(byId(page, "cross-entropy").getTextContent().contains("Nothing to draw yet"));
    }

    @Test
    void the_page_of_a_running_sweep_loads_itself_again_and_that_of_a_finished_one_does_not() throws Exception {
        SweepOutcome done = sweep();
        SweepOutcome running =
                new SweepOutcome(done.configuration(), done.score(), BASE, null, 7, 3, false, done.candidates());
        Document page = parse(HtmlReport.of(running));
        assertEquals("5", all(page, "body").get(0).getAttribute("data-refresh"));
        assertEquals(
                "noscript",
                all(page, "meta").stream()
                        .filter(meta -> meta.getAttribute("http-equiv").equals("refresh"))
                        .findFirst()
                        .orElseThrow()
                        .getParentNode()
                        .getNodeName());
        String finished = HtmlReport.of(done);
        assertFalse(all(parse(finished), "body").get(0).hasAttribute("data-refresh"));
        assertFalse(finished.contains("http-equiv"));
    }

    /** Prints the report of a sweep, by a Java that has no fonts. */
    static final class WithoutFonts {

        private WithoutFonts() {}

        public static void main(String[] args) {
            System.out.println(HtmlReport.of(sweep()));
        }
    }

    @Test
    void without_fonts_the_report_has_everything_but_its_plots(@TempDir Path folder) throws Exception {
        Path none = Files.writeString(folder.resolve("fonts.conf"), "<fontconfig></fontconfig>");
        ProcessBuilder builder = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Djava.awt.headless=true",
                        // Java keeps what fontconfig said there.
                        "-Duser.home=" + folder,
                        "-cp",
                        System.getProperty("java.class.path"),
                        WithoutFonts.class.getName())
                .redirectError(ProcessBuilder.Redirect.DISCARD);
        builder.environment().put("FONTCONFIG_FILE", none.toString());
        Process java = builder.start();
        String html = new String(java.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, java.waitFor());
        Document page = parse(html.substring(html.indexOf("<!DOCTYPE")));
        assertEquals(0, all(page, "svg").size());
        assertTrue(byId(page, "tradeoff").getTextContent().contains("Java found no fonts"));
        assertEquals(6, byId(page, "candidates").getElementsByTagName("tr").getLength());
    }

    @Test
    void pictures_are_png_files() throws Exception {
        SweepPlots plots = SweepPlots.large(sweep());
        for (Plot picture : List.of(plots.tradeOff(), plots.crossEntropy(), plots.divergence())) {
            var image = ImageIO.read(new ByteArrayInputStream(picture.png()));
            assertEquals(900, image.getWidth());
        }
    }
}
