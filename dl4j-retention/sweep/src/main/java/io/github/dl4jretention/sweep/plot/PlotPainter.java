package io.github.dl4jretention.sweep.plot;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.Shape;
import java.awt.font.TextLayout;
import java.awt.geom.AffineTransform;
import java.awt.geom.Ellipse2D;
import java.awt.geom.Path2D;
import java.awt.geom.Point2D;
import java.awt.geom.Rectangle2D;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.AxesChartStyler;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.lines.SeriesLines;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * Paints a {@link Plot}: axes and markers by XChart; lines, the ring and the texts where XChart says that points are.
 */
final class PlotPainter {

    private static final Color RING = new Color(0x0B6E4F);

    private final Plot plot;
    private final Plot.Builder plan;
    private final XYChart chart;

    PlotPainter(Plot plot) {
        this.plot = plot;
        this.plan = plot.plan;
        this.chart = chart();
    }

    /** Where a point is, in pixels, once the picture is painted. */
    Point2D screen(double x, double y) {
        return new Point2D.Double(chart.getScreenXFromChart(x), chart.getScreenYFromChart(y));
    }

    void paint(Graphics2D graphics) {
        graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
        graphics.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
        for (Marks marks : plan.marks) {
            if (marks.hasMarkers()) {
                addMarkers(marks);
            }
        }
        // Where points are evenly spaced XChart has a tick at each, or none if there are two.
        XYSeries uneven = chart.addSeries("axes", uneven(plot.xRange), uneven(plot.yRange));
        uneven.setMarker(SeriesMarkers.NONE);
        uneven.setLineStyle(SeriesLines.NONE);
        chart.paint(graphics, plan.width, plan.height);
        lines(graphics);
        ring(graphics);
        label(graphics);
    }

    private static double[] uneven(double[] range) {
        double length = range[1] - range[0];
        return new double[] {range[0], range[0] + 0.137 * length, range[0] + 0.731 * length, range[1]};
    }

    private XYChart chart() {
        XYChart built = new XYChartBuilder()
                .width(plan.width)
                .height(plan.height)
                .title(plan.title)
                .xAxisTitle(plan.xTitle)
                .yAxisTitle(plan.yTitle)
                .theme(Styler.ChartTheme.Matlab)
                .build();
        Color none = new Color(255, 255, 255, 0);
        Font font = font(Font.PLAIN);
        AxesChartStyler styler = built.getStyler();
        styler.setLocale(Locale.ROOT)
                .setXAxisMin(plot.xRange[0])
                .setXAxisMax(plot.xRange[1])
                .setYAxisMin(plot.yRange[0])
                .setYAxisMax(plot.yRange[1])
                .setXAxisTickMarkSpacingHint(6 * plan.fontSize)
                .setYAxisTickMarkSpacingHint(4 * plan.fontSize)
                .setXAxisMaxLabelCount(8)
                .setXAxisDecimalPattern(decimals(plot.xRange))
                .setYAxisDecimalPattern(decimals(plot.yRange))
                .setAxisTitleFont(font)
                .setAxisTickLabelsFont(font)
                .setAxisTickLabelsColor(Plot.INK)
                .setPlotGridLinesColor(new Color(0xE3E6EA))
                .setPlotGridLinesStroke(new BasicStroke(1))
                .setErrorBarsColorSeriesColor(true)
                .setLegendVisible(false)
                .setChartTitleVisible(plan.titled)
                .setChartTitleFont(font(Font.BOLD))
                .setChartFontColor(Plot.INK)
                .setChartBackgroundColor(none)
                .setPlotBackgroundColor(none)
                .setPlotBorderColor(Plot.GREY)
                .setPlotContentSize(1);
        return built;
    }

    /** As many places as ticks need: XChart by itself writes .05 beside 0.1. */
    private static String decimals(double[] range) {
        int places = 2 - (int) Math.floor(Math.log10(range[1] - range[0]));
        return places < 1 ? "0" : "0." + "#".repeat(places);
    }

    private Font font(int style) {
        return new Font(Font.SANS_SERIF, style, plan.fontSize);
    }

    private void addMarkers(Marks marks) {
        String name = chart.getSeriesMap().size() + " " + marks.name();
        XYSeries series = marks.bars() == null
                ? chart.addSeries(name, marks.x(), marks.y())
                : chart.addSeries(name, marks.x(), marks.y(), marks.bars());
        series.setLineStyle(SeriesLines.NONE);
        series.setLineColor(marks.colour());
        series.setMarkerColor(marks.colour());
        series.setMarker(marks.marker());
    }

    /** Each line at once: XChart draws a line of 128 points as 127 lines, which makes a large SVG element. */
    private void lines(Graphics2D graphics) {
        Shape clip = graphics.getClip();
        graphics.clip(frame());
        for (Marks marks : plan.marks) {
            if (marks.isLine() && marks.x().length > 0) {
                Path2D path = new Path2D.Double();
                List<Point2D> points = points(marks);
                path.moveTo(points.get(0).getX(), points.get(0).getY());
                points.forEach(point -> path.lineTo(point.getX(), point.getY()));
                graphics.setColor(marks.colour());
                graphics.setStroke(new BasicStroke(
                        marks.kind() == Marks.Kind.CURVE ? 2 : 1, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND));
                graphics.draw(path);
            }
        }
        graphics.setClip(clip);
    }

    private Rectangle2D frame() {
        Rectangle2D frame = new Rectangle2D.Double();
        frame.setFrameFromDiagonal(screen(plot.xRange[0], plot.yRange[0]), screen(plot.xRange[1], plot.yRange[1]));
        return frame;
    }

    private void ring(Graphics2D graphics) {
        if (plan.ring != null) {
            Point2D at = screen(plan.ring[0], plan.ring[1]);
            double radius = ringRadius();
            graphics.setColor(RING);
            graphics.setStroke(new BasicStroke(2.5f));
            graphics.draw(new Ellipse2D.Double(at.getX() - radius, at.getY() - radius, 2 * radius, 2 * radius));
        }
    }

    private double ringRadius() {
        return 0.75 * plan.fontSize;
    }

    /** Names beside their curves, then labels where there is room. */
    private void label(Graphics2D graphics) {
        LabelPlacer placer = new LabelPlacer(frame(), plan.fontSize);
        for (Marks marks : plan.marks) {
            List<Point2D> points = points(marks);
            placer.avoid(points, marks.kind() == Marks.Kind.CURVE);
        }
        if (plan.ring != null) {
            placer.avoidRing(screen(plan.ring[0], plan.ring[1]), ringRadius());
        }
        for (Marks marks : plan.marks) {
            if ((marks.isCurve() || marks.kind() == Marks.Kind.POINT)
                    && marks.x().length > 0
                    && !marks.name().isEmpty()) {
                TextLayout text = layout(graphics, marks.name(), marks.isCurve());
                draw(graphics, text, placer.place(points(marks), text.getAdvance()), marks.colour());
            }
        }
        for (Plot.Label label : plan.labels) {
            TextLayout text = layout(graphics, label.text(), false);
            placer.placeIfFree(screen(label.x(), label.y()), text.getAdvance())
                    .ifPresent(at -> draw(graphics, text, at, Plot.INK));
        }
    }

    private List<Point2D> points(Marks marks) {
        return IntStream.range(0, marks.x().length)
                .mapToObj(i -> screen(marks.x()[i], marks.y()[i]))
                .toList();
    }

    private TextLayout layout(Graphics2D graphics, String text, boolean bold) {
        return new TextLayout(text, font(bold ? Font.BOLD : Font.PLAIN), graphics.getFontRenderContext());
    }

    /** As an outline, as XChart draws its own text: it is as wide as it was measured, whatever fonts a reader has. */
    private static void draw(Graphics2D graphics, TextLayout text, Point2D at, Color colour) {
        var outline = text.getOutline(AffineTransform.getTranslateInstance(at.getX(), at.getY()));
        graphics.setColor(new Color(255, 255, 255, 215));
        graphics.setStroke(new BasicStroke(3, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND));
        graphics.draw(outline);
        graphics.setColor(colour);
        graphics.fill(outline);
    }
}
