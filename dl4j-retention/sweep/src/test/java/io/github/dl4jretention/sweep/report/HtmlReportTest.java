package io.github.dl4jretention.sweep.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome.Status;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.sweep.task.CurvePoint;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.RetentionScore;
import io.github.dl4jretention.sweep.task.RungScore;
import java.io.ByteArrayInputStream;
import java.io.StringReader;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
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
        assertFalse(html.contains("@import") || html.contains("url("), "style sheets from elsewhere");

        List<Element> plots = all(page, "svg");
        assertEquals(3, plots.size());
        NodeList circles = plots.get(0).getElementsByTagName("circle");
        // Three candidates, the base, the reference point, the ring.
        assertEquals(6, circles.getLength());
        Element frontLine =
                (Element) plots.get(0).getElementsByTagName("polyline").item(0);
        assertEquals(2, frontLine.getAttribute("points").split(" ").length);
        assertEquals(4, plots.get(1).getElementsByTagName("polyline").getLength());

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
        Document page = parse(HtmlReport.live(none, 5));
        assertTrue(byId(page, "summary").getTextContent().startsWith("In work: 0 of 7 candidates"));
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
        assertTrue(all(page, "meta").stream()
                .anyMatch(meta -> meta.getAttribute("http-equiv").equals("refresh")));
        assertFalse(HtmlReport.live(done, 5).contains("http-equiv"));
        assertFalse(HtmlReport.of(none).contains("http-equiv"));
    }

    @Test
    void pictures_are_png_files() throws Exception {
        for (byte[] picture :
                List.of(Pictures.tradeOff(sweep()), Pictures.crossEntropy(sweep()), Pictures.divergence(sweep()))) {
            var image = ImageIO.read(new ByteArrayInputStream(picture));
            assertEquals(900, image.getWidth());
        }
    }
}
