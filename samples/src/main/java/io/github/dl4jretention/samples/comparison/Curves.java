package io.github.dl4jretention.samples.comparison;

import java.io.IOException;
import java.util.List;
import java.util.function.ToDoubleFunction;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.lines.SeriesLines;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * Curves of gain and forgetting on test text, each method's at its best learning rate; clouds where two strengths vary.
 */
final class Curves {

    private Curves() {}

    /** Means over seeds; bars are half of the range of forgetting over seeds. */
    static byte[] png(String title, Result base, List<Family> families) throws IOException {
        XYChart chart = new XYChartBuilder()
                .width(1200)
                .height(750)
                .title(title)
                .xAxisTitle("gain on target text, nats per byte (more is better)")
                .yAxisTitle("forgetting on source text, nats per byte (less is better)")
                .theme(Styler.ChartTheme.Matlab)
                .build();
        chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
        chart.getStyler().setDecimalPattern("0.000");
        chart.addSeries(Result.BASE, new double[] {0}, new double[] {0}).setMarker(SeriesMarkers.CROSS);
        for (Family family : families) {
            List<List<Result>> curve = family.curve();
            if (!curve.isEmpty()) {
                XYSeries series = chart.addSeries(
                        family.name() + ", " + family.rate(),
                        means(curve, result -> result.test().gain(base.test())),
                        means(curve, result -> result.test().forgetting(base.test())),
                        halfRanges(curve, result -> result.test().forgetting(base.test())));
                series.setMarker(SeriesMarkers.CIRCLE);
                if (family.hasTwoStrengths()) {
                    series.setLineStyle(SeriesLines.NONE);
                }
            }
        }
        return BitmapEncoder.getBitmapBytes(chart, BitmapFormat.PNG);
    }

    private static double[] means(List<List<Result>> curve, ToDoubleFunction<Result> value) {
        return curve.stream()
                .mapToDouble(results -> spread(results, value).mean())
                .toArray();
    }

    private static double[] halfRanges(List<List<Result>> curve, ToDoubleFunction<Result> value) {
        return curve.stream()
                .map(results -> spread(results, value))
                .mapToDouble(spread -> (spread.most() - spread.least()) / 2)
                .toArray();
    }

    private static Family.Spread spread(List<Result> results, ToDoubleFunction<Result> value) {
        return Family.Spread.of(results.stream().map(value::applyAsDouble).toList());
    }
}
