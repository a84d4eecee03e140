package io.github.dl4jretention.samples.notebook;

import java.awt.image.BufferedImage;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Pictures that a notebook shows in its place, by XChart. */
public final class Chart {

    private static final int WIDTH = 720;
    private static final int HEIGHT = 420;

    private Chart() {}

    /**
     * Bars side by side.
     *
     * @param groups names below the bars
     * @param bars   a height for each group, by name; iterated in its own order
     */
    public static BufferedImage bars(String title, String yTitle, List<String> groups, Map<String, double[]> bars) {
        CategoryChart chart = new CategoryChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .yAxisTitle(yTitle)
                .theme(Styler.ChartTheme.Matlab)
                .build();
        chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
        bars.forEach((name, heights) ->
                chart.addSeries(name, groups, Arrays.stream(heights).boxed().toList()));
        return BitmapEncoder.getBufferedImage(chart);
    }

    /**
     * Curves through points.
     *
     * @param curves points {@code {x, y}} by name; iterated in its own order
     */
    public static BufferedImage curves(String title, String xTitle, String yTitle, Map<String, double[][]> curves) {
        XYChart chart = new XYChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .xAxisTitle(xTitle)
                .yAxisTitle(yTitle)
                .theme(Styler.ChartTheme.Matlab)
                .build();
        chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
        curves.forEach((name, points) -> chart.addSeries(name, coordinate(points, 0), coordinate(points, 1))
                .setMarker(SeriesMarkers.CIRCLE));
        return BitmapEncoder.getBufferedImage(chart);
    }

    /**
     * What was learned against what was forgotten, in nats per byte.
     *
     * @param curves points {@code {gain, forgetting}} by name; iterated in its own order
     */
    public static BufferedImage tradeOff(String title, Map<String, double[][]> curves) {
        return curves(title, "gain on target text (more is better)", "forgetting (less is better)", curves);
    }

    private static double[] coordinate(double[][] points, int axis) {
        return Arrays.stream(points).mapToDouble(point -> point[axis]).toArray();
    }
}
