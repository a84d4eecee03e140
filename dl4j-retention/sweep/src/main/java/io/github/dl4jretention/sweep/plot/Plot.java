package io.github.dl4jretention.sweep.plot;

import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.jspecify.annotations.Nullable;
import org.knowm.xchart.style.markers.Marker;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * A picture of curves and points, drawn by XChart: the same description gives a PNG file and an SVG element.
 *
 * <p>There is no legend. Each curve has its name beside it, in its colour, and a picture has at most {@value #MOST}
 * curves: more can't be told apart. Everything else is context: grey lines and dots, single black points, labels. In an
 * SVG element a reader who points at something, or tabs to it, is told what it is.
 *
 * <pre>{@code
 * Plot plot = Plot.builder("What was learned and what was forgotten")
 *         .axes("gain on target text, nats per token (more is better)", "forgetting on source text (less is better)")
 *         .curve("retention", gains, forgettings)
 *         .point("base", 0, 0)
 *         .build();
 * Files.write(file, plot.png());
 * }</pre>
 *
 * <p>Points with a coordinate that isn't finite are left out. Java needs a font to draw with: where there is none, as
 * in small containers, {@link #png}, {@link #svg} and {@link #image} throw what Java throws, an {@link Error} or a
 * {@link RuntimeException}.
 */
public final class Plot {

    /** The most curves that a picture may have. */
    public static final int MOST = 5;

    private static final Color[] COLOURS = {
        // Told apart by colour-blind readers, too. Source: Wong, Points of view: Color blindness, doi
        // 10.1038/nmeth.1618.
        new Color(0x0072B2), new Color(0xD55E00), new Color(0x009E73), new Color(0xB0578D), new Color(0xB8860B)
    };
    private static final Marker[] MARKERS = {
        SeriesMarkers.CIRCLE,
        SeriesMarkers.DIAMOND,
        SeriesMarkers.SQUARE,
        SeriesMarkers.TRIANGLE_UP,
        SeriesMarkers.TRIANGLE_DOWN
    };
    static final Color INK = new Color(0x1D2430);
    static final Color GREY = new Color(0x9AA2AE);
    /** How far the axes reach beyond the points, as a share of their range. */
    private static final double MARGIN = 0.07;

    final Builder plan;
    final double[] xRange;
    final double[] yRange;

    record Label(String text, double x, double y) {}

    private Plot(Builder builder) {
        plan = builder;
        xRange = builder.xRange != null
                ? builder.xRange
                : range(builder.marks.stream().map(Marks::x));
        yRange = builder.yRange != null
                ? builder.yRange
                : range(builder.marks.stream().flatMap(Marks::reach));
    }

    private static double[] range(Stream<double[]> values) {
        double[] all = values.flatMapToDouble(Arrays::stream).toArray();
        double low = Arrays.stream(all).min().orElse(0);
        double high = Arrays.stream(all).max().orElse(1);
        // Numbers that differ by the least can't be ticks of an axis.
        boolean differ = high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high)) && high - low > 1e-12;
        double margin = differ ? MARGIN * (high - low) : Math.max(1e-3, Math.abs(high) / 10);
        return new double[] {low - margin, high + margin};
    }

    /**
     * {@return a builder of a picture of 900 x 600 pixels}
     *
     * @param title above the picture; an SVG element has it as its name for readers who can't see it
     */
    public static Builder builder(String title) {
        return new Builder(title);
    }

    /** {@return whether there is nothing to draw: no point has finite coordinates} */
    public boolean isEmpty() {
        return plan.marks.stream().allMatch(marks -> marks.x().length == 0);
    }

    /** {@return the picture as the bytes of a PNG file, on white} */
    public byte[] png() {
        return png(List.of(this), 1);
    }

    /**
     * {@return several pictures as one PNG file, row by row}
     *
     * @param panels  all as large as the first; at least one
     * @param columns pictures side by side, at least 1
     */
    public static byte[] png(List<Plot> panels, int columns) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            ImageIO.write(image(panels, columns), "png", bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    /** {@return the picture, on white} */
    public BufferedImage image() {
        return image(List.of(this), 1);
    }

    private static BufferedImage image(List<Plot> panels, int columns) {
        int width = panels.get(0).plan.width;
        int height = panels.get(0).plan.height;
        int rows = (panels.size() + columns - 1) / columns;
        BufferedImage image = new BufferedImage(columns * width, rows * height, BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = image.createGraphics();
        graphics.setColor(Color.WHITE);
        graphics.fillRect(0, 0, image.getWidth(), image.getHeight());
        for (int i = 0; i < panels.size(); i++) {
            Graphics2D panel = (Graphics2D) graphics.create(i % columns * width, i / columns * height, width, height);
            new PlotPainter(panels.get(i)).paint(panel);
            panel.dispose();
        }
        graphics.dispose();
        return image;
    }

    /**
     * {@return the picture as an SVG element that can stand in an HTML page, on no background}
     *
     * <p>What a reader can point at has the class {@code hover}, takes the keyboard's focus, and has a {@code title}.
     */
    public String svg() {
        SvgCanvas canvas = new SvgCanvas(plan.title, plan.width, plan.height);
        PlotPainter painter = new PlotPainter(this);
        painter.paint(canvas.graphics());
        for (Marks hover : plan.hovers) {
            canvas.hover(
                    hover.name(),
                    IntStream.range(0, hover.x().length)
                            .mapToObj(i -> painter.screen(hover.x()[i], hover.y()[i]))
                            .toList());
        }
        return canvas.toSvg();
    }

    /** Describes a {@link Plot}. What is added later is drawn above what was added before. */
    public static final class Builder {

        final String title;
        final List<Marks> marks = new ArrayList<>();
        final List<Label> labels = new ArrayList<>();
        private final List<Marks> hovers = new ArrayList<>();
        String xTitle = "";
        String yTitle = "";
        int width = 900;
        int height = 600;
        int fontSize = 14;
        boolean titled = true;
        private double @Nullable [] xRange;
        private double @Nullable [] yRange;
        double @Nullable [] ring;

        private Builder(String title) {
            this.title = Objects.requireNonNull(title, "title");
        }

        /**
         * Names the axes.
         *
         * @param x with its unit, and which way is better
         * @param y with its unit, and which way is better
         * @return this builder
         */
        public Builder axes(String x, String y) {
            xTitle = x;
            yTitle = y;
            return this;
        }

        /**
         * Sets the size of the picture and of its text.
         *
         * @param widthInPixels  default 900
         * @param heightInPixels default 600
         * @param textSize       in pixels; default 14
         * @return this builder
         */
        public Builder size(int widthInPixels, int heightInPixels, int textSize) {
            width = widthInPixels;
            height = heightInPixels;
            fontSize = textSize;
            return this;
        }

        /**
         * Leaves the title out of the picture: the page around it has it.
         *
         * @return this builder
         */
        public Builder untitled() {
            titled = false;
            return this;
        }

        /**
         * Fixes what the x axis shows; default: all points.
         *
         * @param low  at the left
         * @param high at the right, above the low
         * @return this builder
         */
        public Builder xRange(double low, double high) {
            xRange = requireRange("xRange", low, high);
            return this;
        }

        /**
         * Fixes what the y axis shows; default: all points with their bars.
         *
         * @param low  at the bottom
         * @param high at the top, above the low
         * @return this builder
         */
        public Builder yRange(double low, double high) {
            yRange = requireRange("yRange", low, high);
            return this;
        }

        private static double[] requireRange(String name, double low, double high) {
            if (!(low < high && Double.isFinite(high - low))) {
                throw new IllegalArgumentException(
                        name + ": expected two finite numbers low < high, got " + low + " and " + high);
            }
            return new double[] {low, high};
        }

        /**
         * A line through points, with its name beside it. Lines of up to 40 points have markers.
         *
         * @param name beside the line, in its colour
         * @param x    of the points, in the order of the line
         * @param y    of the points
         * @return this builder
         * @throws IllegalArgumentException if there are more than {@value Plot#MOST} curves, or not as many y as x
         */
        public Builder curve(String name, double[] x, double[] y) {
            return addCurve(Marks.Kind.CURVE, name, x, y, null);
        }

        /**
         * A line through points with bars.
         *
         * @param name beside the line, in its colour
         * @param x    of the points, in the order of the line
         * @param y    of the points
         * @param bars how far a bar reaches above and below each point
         * @return this builder
         * @throws IllegalArgumentException if there are more than {@value Plot#MOST} curves, or the arrays differ in
         *     length
         */
        public Builder curve(String name, double[] x, double[] y, double[] bars) {
            return addCurve(Marks.Kind.CURVE, name, x, y, Objects.requireNonNull(bars, "bars"));
        }

        /**
         * A cloud of dots, with its name beside it. It counts as a curve.
         *
         * @param name beside one of the dots, in their colour
         * @param x    of the dots
         * @param y    of the dots
         * @return this builder
         * @throws IllegalArgumentException if there are more than {@value Plot#MOST} curves, or not as many y as x
         */
        public Builder dots(String name, double[] x, double[] y) {
            return addCurve(Marks.Kind.DOTS, name, x, y, null);
        }

        /**
         * A thin grey line without a name.
         *
         * @param x of the points, in the order of the line
         * @param y of the points
         * @return this builder
         */
        public Builder contextLine(double[] x, double[] y) {
            return add(Marks.Kind.CONTEXT_LINE, "", x, y, null, GREY, SeriesMarkers.NONE);
        }

        /**
         * Grey dots without a name.
         *
         * @param x of the dots
         * @param y of the dots
         * @return this builder
         */
        public Builder contextDots(double[] x, double[] y) {
            return add(Marks.Kind.CONTEXT_DOTS, "", x, y, null, GREY, SeriesMarkers.CIRCLE);
        }

        /**
         * A single black dot with its name.
         *
         * @param name beside the dot; empty for none
         * @param x    of the dot
         * @param y    of the dot
         * @return this builder
         */
        public Builder point(String name, double x, double y) {
            return add(Marks.Kind.POINT, name, new double[] {x}, new double[] {y}, null, INK, SeriesMarkers.CIRCLE);
        }

        private Builder addCurve(Marks.Kind kind, String name, double[] x, double[] y, double @Nullable [] bars) {
            int curves = (int) marks.stream().filter(Marks::isCurve).count();
            if (curves == MOST) {
                throw new IllegalArgumentException("curve: expected at most " + MOST + " in a picture, got another: "
                        + name + "; draw more as context lines, or in another panel");
            }
            return add(kind, name, x, y, bars, COLOURS[curves], MARKERS[curves]);
        }

        private Builder add(
                Marks.Kind kind,
                String name,
                double[] x,
                double[] y,
                double @Nullable [] bars,
                Color colour,
                Marker marker) {
            marks.add(Marks.of(kind, name, x, y, bars, colour, marker));
            return this;
        }

        /**
         * A text beside a point, left out where it would lie on something else.
         *
         * @param text to write
         * @param x    of the point
         * @param y    of the point
         * @return this builder
         */
        public Builder label(String text, double x, double y) {
            if (Double.isFinite(x) && Double.isFinite(y)) {
                labels.add(new Label(text, x, y));
            }
            return this;
        }

        /**
         * A ring around a point.
         *
         * @param x of the point
         * @param y of the point
         * @return this builder
         */
        public Builder ring(double x, double y) {
            ring = Double.isFinite(x) && Double.isFinite(y) ? new double[] {x, y} : null;
            return this;
        }

        /**
         * Tells a reader of an SVG element what a point or a line is.
         *
         * @param text shown while the reader points there
         * @param x    of a point, or of the points of a line
         * @param y    of a point, or of the points of a line
         * @return this builder
         */
        public Builder hover(String text, double[] x, double[] y) {
            Marks finite = Marks.of(Marks.Kind.POINT, text, x, y, null, INK, SeriesMarkers.NONE);
            if (finite.x().length > 0) {
                hovers.add(finite);
            }
            return this;
        }

        /** {@return the picture} */
        public Plot build() {
            return new Plot(this);
        }
    }
}
