package io.github.dl4jretention.sweep.plot;

import java.awt.Color;
import java.util.Arrays;
import java.util.Objects;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.knowm.xchart.style.markers.Marker;

/** Points of a picture with finite coordinates, as a line or by themselves; bars may be null. */
record Marks(Kind kind, String name, double[] x, double[] y, double @Nullable [] bars, Color colour, Marker marker) {

    /** A line of more points has no markers. */
    private static final int MOST_MARKERS = 40;

    enum Kind {
        CURVE,
        DOTS,
        CONTEXT_LINE,
        CONTEXT_DOTS,
        POINT
    }

    static Marks of(
            Kind kind, String name, double[] x, double[] y, double @Nullable [] bars, Color colour, Marker marker) {
        Objects.requireNonNull(name, "name");
        if (x.length != y.length || bars != null && bars.length != x.length) {
            throw new IllegalArgumentException(name + ": expected as many y (and bars) as x, got " + x.length + " x, "
                    + y.length + " y" + (bars == null ? "" : ", " + bars.length + " bars"));
        }
        int[] finite = IntStream.range(0, x.length)
                .filter(i -> Double.isFinite(x[i]) && Double.isFinite(y[i]))
                .toArray();
        return new Marks(
                kind, name, at(finite, x), at(finite, y), bars == null ? null : at(finite, bars), colour, marker);
    }

    private static double[] at(int[] indices, double[] values) {
        return Arrays.stream(indices).mapToDouble(i -> values[i]).toArray();
    }

    boolean isLine() {
        return kind == Kind.CURVE || kind == Kind.CONTEXT_LINE;
    }

    boolean hasMarkers() {
        return x.length > 0 && kind != Kind.CONTEXT_LINE && (kind != Kind.CURVE || x.length <= MOST_MARKERS);
    }

    boolean isCurve() {
        return kind == Kind.CURVE || kind == Kind.DOTS;
    }

    /** What the y axis must reach: the points, and the ends of their bars. */
    Stream<double[]> reach() {
        if (bars == null) {
            return Stream.of(y);
        }
        return Stream.of(-1, 1).map(side -> IntStream.range(0, y.length)
                .mapToDouble(i -> y[i] + side * bars[i])
                .filter(Double::isFinite)
                .toArray());
    }
}
