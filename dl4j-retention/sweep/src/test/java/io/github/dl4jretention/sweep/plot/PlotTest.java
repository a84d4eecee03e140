package io.github.dl4jretention.sweep.plot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.StringReader;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.xml.sax.InputSource;

class PlotTest {

    private static final double[] X = {0, 1, 2, 4};
    private static final double[] Y = {0, 0.5, 3, 1};
    private static final int BLUE = 0xFF0072B2;
    private static final int INK = 0xFF1D2430;

    private static Document parse(String svg) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new InputSource(new StringReader(svg)));
    }

    private static List<Element> all(Document svg, String tag) {
        var found = svg.getElementsByTagName(tag);
        return IntStream.range(0, found.getLength())
                .mapToObj(i -> (Element) found.item(i))
                .toList();
    }

    @Test
    void a_reader_points_where_the_dots_of_the_png_are() throws Exception {
        Plot.Builder builder =
                Plot.builder("plot").axes("x", "y").curve("", X, Y).point("", 3, 0.3);
        for (int i = 0; i < X.length; i++) {
            builder.hover("#" + i, new double[] {X[i]}, new double[] {Y[i]});
        }
        Plot plot = builder.hover("alone", new double[] {3}, new double[] {0.3}).build();
        List<Element> circles = all(parse(plot.svg()), "circle").stream()
                .filter(circle -> circle.getAttribute("class").equals("hover"))
                .toList();
        assertEquals(5, circles.size());
        BufferedImage image = ImageIO.read(new ByteArrayInputStream(plot.png()));
        assertEquals(900, image.getWidth());
        assertEquals(600, image.getHeight());
        for (int i = 0; i < circles.size(); i++) {
            int x = (int) Math.round(Double.parseDouble(circles.get(i).getAttribute("cx")));
            int y = (int) Math.round(Double.parseDouble(circles.get(i).getAttribute("cy")));
            assertEquals(i < 4 ? BLUE : INK, image.getRGB(x, y), "point " + i);
        }
        // Even steps: 0, 1, 2, 4 to the right, and 3 is higher than 1.
        double[] left = circles.stream()
                .mapToDouble(circle -> Double.parseDouble(circle.getAttribute("cx")))
                .toArray();
        assertEquals(left[1] - left[0], (left[3] - left[2]) / 2, 0.2);
        assertTrue(Double.parseDouble(circles.get(2).getAttribute("cy"))
                < Double.parseDouble(circles.get(3).getAttribute("cy")));
    }

    @Test
    void a_line_is_drawn_between_its_points_and_not_beyond_the_axes() {
        BufferedImage inside = Plot.builder("plot")
                .curve("", new double[] {0, 10}, new double[] {0, 0})
                .yRange(-1, 1)
                .build()
                .image();
        assertEquals(BLUE, inside.getRGB(450, bluest(inside, 450)));
        BufferedImage outside = Plot.builder("plot")
                .curve("", new double[] {0, 10}, new double[] {5, 5})
                .yRange(-1, 1)
                .build()
                .image();
        assertEquals(-1, bluest(outside, 450));
    }

    /** The row of a column's first blue pixel; -1 if there is none. */
    private static int bluest(BufferedImage image, int column) {
        return IntStream.range(0, image.getHeight())
                .filter(row -> image.getRGB(column, row) == BLUE)
                .findFirst()
                .orElse(-1);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 5, 100})
    void both_axes_have_ticks_however_many_points_there_are(int points) {
        double[] steps = IntStream.range(0, points).mapToDouble(i -> i).toArray();
        BufferedImage image = Plot.builder("").curve("", steps, steps).build().image();
        // Left of the frame and below it there is nothing but the labels of ticks.
        assertTrue(inked(image, 0, 900, 575, 600) > 100, "x axis");
        assertTrue(inked(image, 0, 25, 0, 540) > 100, "y axis");
    }

    private static long inked(BufferedImage image, int left, int right, int top, int bottom) {
        return IntStream.range(left, right)
                .boxed()
                .flatMap(x -> IntStream.range(top, bottom).mapToObj(y -> image.getRGB(x, y)))
                .filter(pixel -> pixel != -1)
                .count();
    }

    @Test
    void five_curves_are_drawn_and_a_sixth_is_refused_by_name() {
        Plot.Builder builder = Plot.builder("plot");
        for (int i = 0; i < 5; i++) {
            builder.curve("curve " + i, X, Y);
        }
        builder.contextLine(X, Y).contextDots(X, Y).point("base", 0, 0);
        String message = assertThrows(IllegalArgumentException.class, () -> builder.dots("sixth", X, Y))
                .getMessage();
        assertTrue(message.startsWith("curve: expected at most 5 in a picture") && message.contains("sixth"), message);
        builder.build().png();
    }

    @Test
    void what_is_not_finite_is_left_out() throws Exception {
        double nan = Double.NaN;
        Plot plot = Plot.builder("plot")
                .curve("", new double[] {0, nan, 1, 2}, new double[] {0, 1, Double.POSITIVE_INFINITY, 1})
                .hover("line", new double[] {0, nan, 2}, new double[] {0, 1, 1})
                .hover("nothing", new double[] {nan}, new double[] {1})
                .label("nothing", nan, 1)
                .ring(nan, 1)
                .build();
        List<Element> hovers = all(parse(plot.svg()), "polyline");
        assertEquals(1, hovers.size());
        assertEquals(2, hovers.get(0).getAttribute("points").split(" ").length);
        assertEquals(1, all(parse(plot.svg()), "title").size());
        assertFalse(plot.isEmpty());
        assertTrue(Plot.builder("plot")
                .curve("", new double[] {nan}, new double[] {1})
                .build()
                .isEmpty());
        assertEquals(
                "curve: expected as many y (and bars) as x, got 4 x, 3 y",
                assertThrows(IllegalArgumentException.class, () -> Plot.builder("plot")
                                .curve("curve", X, new double[3]))
                        .getMessage());
    }

    @Test
    void two_elements_in_one_page_have_no_id_in_common_and_hold_any_text() throws Exception {
        Plot one = Plot.builder("one <&\"\u0001").curve("a", X, Y).build();
        Plot other =
                Plot.builder("other").curve("b", X, Y).hover("<b>&\u0001", X, Y).build();
        Document page = parse("<div>" + one.svg() + other.svg() + "</div>");
        Set<String> ids = new HashSet<>();
        for (Element element : all(page, "*")) {
            String id = element.getAttribute("id");
            assertTrue(id.isEmpty() || ids.add(id), id);
        }
        assertEquals("one <&\" ", all(page, "svg").get(0).getAttribute("aria-label"));
        assertEquals("<b>& ", all(page, "title").get(0).getTextContent());
        assertEquals("0 0 900 600", all(page, "svg").get(0).getAttribute("viewBox"));
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1",
        "0, 0",
        "1, 1.0000000000000002",
        "-1e-12, 2e-12",
        "1e12, 3e12",
        "5e-324, 1e-323",
        "-1e300, 1e300"
    })
    void values_of_any_size_are_drawn(double low, double high) {
        Plot plot = Plot.builder("plot")
                .curve("curve", new double[] {low, high}, new double[] {low, high})
                .build();
        assertTimeoutPreemptively(Duration.ofSeconds(60), () -> plot.png().length);
        assertTrue(plot.svg().endsWith("</svg>"));
    }

    @Test
    void numbers_are_written_alike_everywhere() {
        Locale before = Locale.getDefault();
        Plot plot = Plot.builder("plot")
                .curve("", new double[] {0, 0.1}, new double[] {0.05, 0.15})
                .build();
        byte[] expected = plot.png();
        try {
            Locale.setDefault(Locale.GERMANY);
            assertArrayEquals(expected, plot.png());
        } finally {
            Locale.setDefault(before);
        }
    }

    @Test
    void panels_stand_in_rows() throws Exception {
        Plot plot = Plot.builder("plot").size(300, 200, 10).curve("", X, Y).build();
        BufferedImage image = ImageIO.read(new ByteArrayInputStream(Plot.png(List.of(plot, plot, plot), 2)));
        assertEquals(600, image.getWidth());
        assertEquals(400, image.getHeight());
        BufferedImage alone = plot.image();
        for (int[] pixel : new int[][] {{10, 10}, {150, 100}, {40, 180}}) {
            assertEquals(alone.getRGB(pixel[0], pixel[1]), image.getRGB(pixel[0], 200 + pixel[1]));
            assertEquals(alone.getRGB(pixel[0], pixel[1]), image.getRGB(300 + pixel[0], pixel[1]));
            assertEquals(0xFFFFFFFF, image.getRGB(300 + pixel[0], 200 + pixel[1]));
        }
    }
}
