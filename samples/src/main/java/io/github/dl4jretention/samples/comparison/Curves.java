package io.github.dl4jretention.samples.comparison;

import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;
import javax.imageio.ImageIO;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.lines.SeriesLines;
import org.knowm.xchart.style.markers.Marker;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * Pictures of gain and forgetting on test text, means over seeds. Bars are half of the range of forgetting over seeds.
 */
final class Curves {

    private static final String GAIN = "gain on target text, nats per byte (more is better)";
    private static final String FORGETTING = "forgetting on source text, nats per byte (less is better)";
    private static final int COLUMNS = 4;
    private static final int WIDTH = 460;
    private static final int HEIGHT = 340;
    private static final Font LEGEND = new Font(Font.SANS_SERIF, Font.PLAIN, 9);
    /** A panel shows this many times the forgetting of interest; what forgets more is outside of it. */
    private static final double SHOWN = 1.5;
    /** A panel shows at least this gain, where nothing gains too. */
    private static final double LEAST_GAIN = 0.01;

    private static final List<Marker> MARKERS = List.of(
            SeriesMarkers.CIRCLE,
            SeriesMarkers.DIAMOND,
            SeriesMarkers.SQUARE,
            SeriesMarkers.TRIANGLE_UP,
            SeriesMarkers.TRIANGLE_DOWN);

    private Curves() {}

    /** All methods in one picture, each at its best rate; clouds where a merge was tried on several trainings. */
    static byte[] atBestRates(String title, Result base, List<Family> families) throws IOException {
        XYChart chart = chart(title, 1200, 750);
        chart.setXAxisTitle(GAIN);
        chart.setYAxisTitle(FORGETTING);
        chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
        addBase(chart);
        for (int i = 0; i < families.size(); i++) {
            Family family = families.get(i);
            List<Family.Curve> curves = family.curves();
            List<List<Result>> points =
                    curves.stream().flatMap(curve -> curve.points().stream()).toList();
            if (!points.isEmpty()) {
                XYSeries series = add(chart, family.nameWithRate(), points, base);
                Color color = Color.getHSBColor((float) i / families.size(), 0.9f, i % 2 == 0 ? 0.85f : 0.55f);
                series.setMarkerColor(color);
                series.setLineColor(color);
                series.setMarker(MARKERS.get(i % MARKERS.size()));
                if (curves.size() > 1) {
                    series.setLineStyle(SeriesLines.NONE);
                }
            }
        }
        return png(List.of(chart), 1);
    }

    /**
     * A panel a method, a line a learning rate, and for merges a strength of the method: every curve over the strength
     * and the learning rate. All panels have the same axes.
     */
    static byte[] atEveryRate(Result base, List<Family> families) throws IOException {
        double most = families.stream()
                .flatMap(family -> family.curves().stream())
                .flatMap(curve -> curve.points().stream())
                .mapToDouble(results -> mean(results, result -> result.test().gain(base.test())))
                .reduce(LEAST_GAIN, Math::max);
        double reference = Family.REFERENCE * base.test().source();
        List<XYChart> charts = families.stream()
                .map(family -> {
                    XYChart chart = chart(family.kind().name(), WIDTH, HEIGHT);
                    chart.getStyler().setXAxisMin(-0.1 * most).setXAxisMax(1.05 * most);
                    chart.getStyler().setYAxisMin(-SHOWN / 2 * reference).setYAxisMax(SHOWN * reference);
                    chart.getStyler().setLegendPosition(Styler.LegendPosition.InsideNW);
                    chart.getStyler().setLegendVisible(family.curves().size() > 1);
                    chart.getStyler().setLegendFont(LEGEND).setLegendPadding(2);
                    addBase(chart).setShowInLegend(false);
                    family.curves().forEach(curve -> add(chart, curve.name(), curve.points(), base)
                            .setMarker(SeriesMarkers.CIRCLE));
                    return chart;
                })
                .toList();
        return png(charts, COLUMNS);
    }

    /** Forgetting over the forward KL from the base on target text: a dot a model. */
    static byte[] divergences(String title, Result base, List<Result> results, Predicate<Result> seesSource)
            throws IOException {
        XYChart chart = chart(title, 900, 600);
        chart.setXAxisTitle("forward KL from the base on target text, nats per byte");
        chart.setYAxisTitle(FORGETTING);
        chart.getStyler().setLegendPosition(Styler.LegendPosition.InsideNW);
        Predicate<Result> merged = result -> !result.merge().isEmpty();
        addDots(chart, "trained", base, results, seesSource.or(merged).negate());
        addDots(chart, "stopped earlier or merged", base, results, merged.and(seesSource.negate()));
        addDots(chart, "saw source text", base, results, seesSource);
        return png(List.of(chart), 1);
    }

    private static void addDots(
            XYChart chart, String name, Result base, List<Result> results, Predicate<Result> which) {
        List<Result> shown = results.stream().filter(which).toList();
        if (!shown.isEmpty()) {
            double[] divergences = shown.stream()
                    .mapToDouble(result -> result.test().targetDivergence())
                    .toArray();
            double[] forgettings = shown.stream()
                    .mapToDouble(result -> result.test().forgetting(base.test()))
                    .toArray();
            XYSeries series = chart.addSeries(name, divergences, forgettings);
            series.setLineStyle(SeriesLines.NONE);
            series.setMarker(MARKERS.get(chart.getSeriesMap().size() - 1));
        }
    }

    private static XYChart chart(String title, int width, int height) {
        XYChart chart = new XYChartBuilder()
                .width(width)
                .height(height)
                .title(title)
                .theme(Styler.ChartTheme.Matlab)
                .build();
        chart.getStyler().setDecimalPattern("0.000");
        return chart;
    }

    private static XYSeries addBase(XYChart chart) {
        XYSeries series = chart.addSeries(Result.BASE, new double[] {0}, new double[] {0});
        series.setMarker(SeriesMarkers.CROSS);
        return series;
    }

    private static XYSeries add(XYChart chart, String name, List<List<Result>> points, Result base) {
        return chart.addSeries(
                name,
                each(points, results -> mean(results, result -> result.test().gain(base.test()))),
                each(points, results -> mean(results, result -> result.test().forgetting(base.test()))),
                each(points, results -> {
                    Family.Spread spread =
                            Family.Spread.of(results, result -> result.test().forgetting(base.test()));
                    return (spread.most() - spread.least()) / 2;
                }));
    }

    private static double[] each(List<List<Result>> points, ToDoubleFunction<List<Result>> value) {
        return points.stream().mapToDouble(value).toArray();
    }

    private static double mean(List<Result> results, ToDoubleFunction<Result> value) {
        return Family.Spread.of(results, value).mean();
    }

    private static byte[] png(List<XYChart> charts, int columns) throws IOException {
        int width = charts.get(0).getWidth();
        int height = charts.get(0).getHeight();
        int rows = (charts.size() + columns - 1) / columns;
        BufferedImage image = new BufferedImage(columns * width, rows * height, BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = image.createGraphics();
        graphics.setColor(Color.WHITE);
        graphics.fillRect(0, 0, image.getWidth(), image.getHeight());
        for (int i = 0; i < charts.size(); i++) {
            int x = i % columns * width;
            int y = i / columns * height;
            charts.get(i).paint((Graphics2D) graphics.create(x, y, width, height), width, height);
        }
        graphics.dispose();
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        ImageIO.write(image, "png", bytes);
        return bytes.toByteArray();
    }
}
