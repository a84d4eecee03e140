package io.github.dl4jretention.sweep.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** A plot as an SVG element that needs nothing from elsewhere: axes with even ticks, lines and points. */
final class SvgPlot {

    private static final int WIDTH = 480;
    private static final int HEIGHT = 340;
    /** Of the y axis' title. */
    private static final int TITLE = 28;
    /** Of a character of a tick's label, at the font of narrow screens. */
    private static final int CHARACTER = 10;
    /** Between the baselines of two labels. */
    private static final int LINE = 16;

    private static final int GAP = 5;
    private static final int RIGHT = 24;
    private static final int TOP = 12;
    private static final int BOTTOM = 50;
    private static final int TICKS = 5;

    /** What a label takes. */
    private record Label(double start, double end, double y) {

        boolean liesOn(Label other) {
            return start < other.end && other.start < end && Math.abs(y - other.y) < LINE;
        }
    }

    private final List<Label> labels = new ArrayList<>();
    private final StringBuilder marks = new StringBuilder();
    private final String name;
    private final String xTitle;
    private final String yTitle;
    private double left = Double.POSITIVE_INFINITY;
    private double right = Double.NEGATIVE_INFINITY;
    private double low = Double.POSITIVE_INFINITY;
    private double high = Double.NEGATIVE_INFINITY;
    private int margin;
    private boolean fixed;

    /** @param name for those who cannot see it */
    SvgPlot(String name, String xTitle, String yTitle) {
        this.name = name;
        this.xTitle = xTitle;
        this.yTitle = yTitle;
    }

    /** Widens the axes to a point; all points come before the first mark. */
    SvgPlot include(double x, double y) {
        if (fixed) {
            throw new IllegalStateException("axes: expected all points before the first mark");
        }
        if (Double.isFinite(x) && Double.isFinite(y)) {
            left = Math.min(left, x);
            right = Math.max(right, x);
            low = Math.min(low, y);
            high = Math.max(high, y);
        }
        return this;
    }

    /** Whether there is nothing to draw. */
    boolean isEmpty() {
        return left > right;
    }

    private void fix() {
        if (!fixed) {
            double xMargin = right > left ? 0.05 * (right - left) : Math.max(1e-3, Math.abs(right) / 10);
            double yMargin = high > low ? 0.06 * (high - low) : Math.max(1e-3, Math.abs(high) / 10);
            left -= xMargin;
            right += xMargin;
            low -= yMargin;
            high += yMargin;
            margin = TITLE + GAP + CHARACTER * longest(Ticks.of(low, high, TICKS));
            fixed = true;
        }
    }

    private double x(double value) {
        return margin + (value - left) / (right - left) * (WIDTH - margin - RIGHT);
    }

    private double y(double value) {
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
    }

    /** A line through points; those that are not finite are passed over. */
    SvgPlot line(double[] xs, double[] ys, String style, String title) {
        fix();
        StringBuilder points = new StringBuilder();
        for (int i = 0; i < xs.length; i++) {
            if (Double.isFinite(xs[i]) && Double.isFinite(ys[i])) {
                points.append(String.format(Locale.ROOT, "%.1f,%.1f ", x(xs[i]), y(ys[i])));
            }
        }
        if (points.isEmpty()) {
            return this;
        }
        marks.append(String.format(
                Locale.ROOT,
                "<polyline points=\"%s\" fill=\"none\" %s><title>%s</title></polyline>%n",
                points.toString().strip(),
                style,
                Html.escape(title)));
        return this;
    }

    /** A circle. */
    SvgPlot point(double x, double y, double radius, String style, String title) {
        fix();
        marks.append(String.format(
                Locale.ROOT,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" %s><title>%s</title></circle>%n",
                x(x),
                y(y),
                radius,
                style,
                Html.escape(title)));
        return this;
    }

    /** A text above a point, unless it would lie on an earlier one. */
    SvgPlot label(double x, double y, String text) {
        fix();
        String anchor = x(x) > WIDTH - 70 ? "end" : x(x) < margin + 20 ? "start" : "middle";
        int width = CHARACTER * text.length();
        double start = x(x) - (anchor.equals("end") ? width : anchor.equals("start") ? 0 : width / 2.0);
        Label label = new Label(start, start + width, y(y));
        if (labels.stream().anyMatch(label::liesOn)) {
            return this;
        }
        labels.add(label);
        marks.append(String.format(
                Locale.ROOT,
                "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"mark\">%s</text>%n",
                x(x),
                Math.max(TOP + 8, y(y) - 9),
                anchor,
                Html.escape(text)));
        return this;
    }

    /** The element. */
    String toSvg() {
        if (isEmpty()) {
            return "<p class=\"note\">Nothing to draw yet.</p>";
        }
        fix();
        StringBuilder svg = new StringBuilder(String.format(
                Locale.ROOT,
                "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\" xmlns=\"http://www.w3.org/2000/svg\">%n",
                WIDTH,
                HEIGHT,
                Html.escape(name)));
        ticks(svg);
        svg.append(String.format(
                Locale.ROOT,
                "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"frame\"/>%n",
                margin,
                TOP,
                WIDTH - margin - RIGHT,
                HEIGHT - TOP - BOTTOM));
        svg.append(marks);
        svg.append(String.format(
                Locale.ROOT,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" class=\"axis\">%s</text>%n",
                (margin + WIDTH - RIGHT) / 2,
                HEIGHT - 8,
                Html.escape(xTitle)));
        int middle = (TOP + HEIGHT - BOTTOM) / 2;
        svg.append(String.format(
                Locale.ROOT,
                "<text x=\"13\" y=\"%d\" text-anchor=\"middle\" class=\"axis\" "
                        + "transform=\"rotate(-90 13 %d)\">%s</text>%n",
                middle,
                middle,
                Html.escape(yTitle)));
        return svg.append("</svg>\n").toString();
    }

    private void ticks(StringBuilder svg) {
        int count = TICKS;
        Ticks xs = Ticks.of(left, right, count);
        while (count > 2 && CHARACTER * longest(xs) * xs.values().length > WIDTH - margin - RIGHT) {
            xs = Ticks.of(left, right, --count);
        }
        for (double tick : xs.values()) {
            String label = xs.label(tick);
            svg.append(String.format(
                    Locale.ROOT,
                    "<line x1=\"%1$.1f\" x2=\"%1$.1f\" y1=\"%2$d\" y2=\"%3$d\" class=\"grid\"/>"
                            + "<text x=\"%4$.1f\" y=\"%5$d\" text-anchor=\"middle\" class=\"tick\">%6$s</text>%n",
                    x(tick),
                    TOP,
                    HEIGHT - BOTTOM,
                    Math.min(x(tick), WIDTH - CHARACTER * label.length() / 2.0),
                    HEIGHT - BOTTOM + 20,
                    label));
        }
        Ticks ys = Ticks.of(low, high, TICKS);
        for (double tick : ys.values()) {
            svg.append(String.format(
                    Locale.ROOT,
                    "<line x1=\"%2$d\" x2=\"%3$d\" y1=\"%1$.1f\" y2=\"%1$.1f\" class=\"grid\"/>"
                            + "<text x=\"%4$d\" y=\"%5$.1f\" text-anchor=\"end\" class=\"tick\">%6$s</text>%n",
                    y(tick),
                    margin,
                    WIDTH - RIGHT,
                    margin - GAP,
                    y(tick) + 4,
                    ys.label(tick)));
        }
    }

    private static int longest(Ticks ticks) {
        return Arrays.stream(ticks.values())
                .mapToInt(tick -> ticks.label(tick).length())
                .max()
                .orElse(0);
    }
}
