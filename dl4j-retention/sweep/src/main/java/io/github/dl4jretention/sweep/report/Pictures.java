package io.github.dl4jretention.sweep.report;

import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.task.CurvePoint;
import java.awt.Color;
import java.io.IOException;
import java.util.List;
import java.util.function.ToDoubleFunction;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The plots of a sweep as PNG files of 900 x 600 pixels, by XChart. */
public final class Pictures {

    private static final int WIDTH = 900;
    private static final int HEIGHT = 600;
    private static final int TICKS = 8;

    private Pictures() {}

    /**
     * {@return gain against forgetting on validation text, with the Pareto front and the recommended point, a PNG file}
     *
     * @param sweep to show
     * @throws IOException if XChart cannot draw it
     */
    public static byte[] tradeOff(SweepOutcome sweep) throws IOException {
        XYChart chart = chart(
                "Gain against forgetting, validation text",
                "gain on target text, nats per token (more is better)",
                "forgetting on source text, nats per token (less is better)");
        add(chart, sweep, "pretrained model", List.of(), Color.BLACK, false);
        add(chart, sweep, "candidates", sweep.complete(), new Color(0x8a94a6), false);
        add(chart, sweep, "Pareto front", sweep.front(), new Color(0x1f4fbf), true);
        sweep.recommended()
                .ifPresent(best -> add(chart, sweep, "recommended", List.of(best), new Color(0x0b6e4f), false));
        return BitmapEncoder.getBitmapBytes(chart, BitmapFormat.PNG);
    }

    /**
     * {@return cross-entropy of the training text over steps, in nats per token, a PNG file}
     *
     * @param sweep to show
     * @throws IOException if XChart cannot draw it
     */
    public static byte[] crossEntropy(SweepOutcome sweep) throws IOException {
        return curves(sweep, "Cross-entropy in training", "cross-entropy, nats per token", CurvePoint::crossEntropy);
    }

    /**
     * {@return divergence from the teacher on the training text over steps, in nats per token, a PNG file}
     *
     * @param sweep to show
     * @throws IOException if XChart cannot draw it
     */
    public static byte[] divergence(SweepOutcome sweep) throws IOException {
        return curves(
                sweep, "Divergence from the teacher in training", "divergence, nats per token", CurvePoint::divergence);
    }

    private static void add(
            XYChart chart,
            SweepOutcome sweep,
            String name,
            List<CandidateOutcome> candidates,
            Color colour,
            boolean line) {
        double[] gains = candidates.stream()
                .mapToDouble(candidate -> candidate.validation().gain(sweep.base()))
                .toArray();
        double[] forgettings = candidates.stream()
                .mapToDouble(candidate -> candidate.validation().forgetting(sweep.base()))
                .toArray();
        boolean origin = gains.length == 0;
        XYSeries series =
                chart.addSeries(name, origin ? new double[] {0} : gains, origin ? new double[] {0} : forgettings);
        series.setMarker(SeriesMarkers.CIRCLE);
        series.setMarkerColor(colour);
        series.setLineColor(colour);
        series.setXYSeriesRenderStyle(line ? XYSeries.XYSeriesRenderStyle.Line : XYSeries.XYSeriesRenderStyle.Scatter);
    }

    private static byte[] curves(SweepOutcome sweep, String title, String yTitle, ToDoubleFunction<CurvePoint> value)
            throws IOException {
        XYChart chart = chart(title, "step", yTitle);
        chart.getStyler().setXAxisDecimalPattern("0");
        chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
        for (CandidateOutcome candidate : sweep.candidates()) {
            List<CurvePoint> points = candidate.curve().stream()
                    .filter(point -> Double.isFinite(value.applyAsDouble(point)))
                    .toList();
            if (!points.isEmpty()) {
                XYSeries series = chart.addSeries(
                        Candidates.name(candidate),
                        points.stream().mapToDouble(CurvePoint::step).toArray(),
                        points.stream().mapToDouble(value).toArray());
                series.setMarker(SeriesMarkers.NONE);
            }
        }
        int every = (int) Math.ceil(steps(sweep) / (double) TICKS);
        // XChart puts a tick at every step.
        chart.setCustomXAxisTickLabelsFormatter(
                step -> Math.rint(step) % every == 0 ? String.valueOf(Math.round(step)) : " ");
        if (chart.getSeriesMap().isEmpty()) {
            chart.addSeries("none", new double[] {0}, new double[] {0});
        }
        return BitmapEncoder.getBitmapBytes(chart, BitmapFormat.PNG);
    }

    private static int steps(SweepOutcome sweep) {
        return sweep.candidates().stream()
                .flatMap(candidate -> candidate.curve().stream())
                .mapToInt(CurvePoint::step)
                .max()
                .orElse(1);
    }

    private static XYChart chart(String title, String xTitle, String yTitle) {
        XYChart chart = new XYChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .xAxisTitle(xTitle)
                .yAxisTitle(yTitle)
                .theme(Styler.ChartTheme.Matlab)
                .build();
        chart.getStyler().setLegendPosition(Styler.LegendPosition.InsideNW);
        chart.getStyler().setDecimalPattern("0.0###");
        return chart;
    }
}
