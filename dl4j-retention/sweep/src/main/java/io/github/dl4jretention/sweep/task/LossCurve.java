package io.github.dl4jretention.sweep.task;

import java.util.ArrayList;
import java.util.List;

/** Collects a training curve of at most {@value #POINTS} points: when they are reached, neighbours are averaged. */
final class LossCurve {

    private static final int POINTS = 128;

    private final List<CurvePoint> points = new ArrayList<>();
    private int stride = 1;
    private int steps;
    private double crossEntropy;
    private double divergence;

    void add(double stepCrossEntropy, double stepDivergence) {
        steps++;
        crossEntropy += stepCrossEntropy;
        divergence += stepDivergence;
        if (steps % stride == 0) {
            points.add(new CurvePoint(steps, crossEntropy / stride, divergence / stride));
            crossEntropy = 0;
            divergence = 0;
        }
        if (points.size() == POINTS) {
            halve();
        }
    }

    private void halve() {
        List<CurvePoint> kept = new ArrayList<>();
        for (int i = 0; i < points.size(); i += 2) {
            CurvePoint one = points.get(i);
            CurvePoint other = points.get(i + 1);
            kept.add(new CurvePoint(
                    other.step(),
                    (one.crossEntropy() + other.crossEntropy()) / 2,
                    (one.divergence() + other.divergence()) / 2));
        }
        points.clear();
        points.addAll(kept);
        stride *= 2;
    }

    /** Points so far; steps since the last one are left out. */
    List<CurvePoint> points() {
        return new ArrayList<>(points);
    }
}
