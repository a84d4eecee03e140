package io.github.dl4jretention.sweep.report;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class SvgPlotTest {

    @Test
    void ticks_are_even_and_have_as_many_places_as_they_need() {
        Ticks ticks = Ticks.of(-0.11, 0.32, 5);
        assertArrayEquals(new double[] {-0.1, 0, 0.1, 0.2, 0.3}, ticks.values(), 1e-12);
        assertEquals("-0.1", ticks.label(ticks.values()[0]));
        assertEquals("0.0", ticks.label(-1e-17));
    }

    @Test
    void values_that_differ_by_the_least_are_drawn() {
        String svg = assertTimeoutPreemptively(Duration.ofSeconds(20), () -> new SvgPlot("plot", "x", "y")
                .include(1, 1)
                .include(Math.nextUp(1.0), Math.nextUp(1.0))
                .point(1, 1, 3, "", "point")
                .toSvg());
        assertTrue(svg.endsWith("</svg>\n"), svg);
    }

    @Test
    void a_label_that_would_lie_on_an_earlier_one_is_left_out() {
        String svg = new SvgPlot("plot", "x", "y")
                .include(0, 0)
                .include(1, 1)
                .label(0.5, 0.5, "first")
                .label(0.51, 0.51, "second")
                .label(0.5, 0.7, "third")
                .label(0.8, 0.5, "fourth")
                .toSvg();
        assertTrue(svg.contains("first") && svg.contains("third") && svg.contains("fourth"), svg);
        assertFalse(svg.contains("second"), svg);
    }

    @Test
    void long_labels_have_room_beside_the_axis_title() {
        String svg = new SvgPlot("plot", "x", "y")
                .include(-0.000012, -0.000012)
                .include(0.000004, 0.000004)
                .toSvg();
        assertTrue(svg.contains(">-0.000010<"), svg);
        Matcher label = Pattern.compile("<text x=\"(\\d+)\" y=\"[^\"]*\" text-anchor=\"end\" class=\"tick\">([^<]*)<")
                .matcher(svg);
        while (label.find()) {
            // The title's baseline is at 13; a digit is less than 0.6 of 17 px wide.
            assertTrue(Integer.parseInt(label.group(1)) - 9.9 * label.group(2).length() > 20, label.group());
        }
        Matcher below = Pattern.compile(
                        "<text x=\"([^\"]*)\" y=\"[^\"]*\" text-anchor=\"middle\" class=\"tick\">([^<]*)<")
                .matcher(svg);
        int characters = 0;
        while (below.find()) {
            characters += below.group(2).length();
        }
        assertTrue(characters > 0 && 10 * characters < 480, characters + " characters");
    }

    @Test
    void the_last_label_ends_within_the_plot() {
        String svg =
                new SvgPlot("plot", "x", "y").include(0, 0).include(0.000955, 0).toSvg();
        Matcher last = Pattern.compile(
                        "<text x=\"([^\"]*)\" y=\"[^\"]*\" text-anchor=\"middle\" class=\"tick\">0.0010<")
                .matcher(svg);
        assertTrue(last.find(), svg);
        assertTrue(Double.parseDouble(last.group(1)) + 9.9 * 6 / 2 < 480, last.group());
    }
}
