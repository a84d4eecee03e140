package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import java.util.Locale;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/** A merge of a tuned model with its start, at one strength. */
public enum MergeKind {
    /** The average with the start; strength: the tuned model's share. */
    WISE_FT,
    /** Beyond the tuned model; strength: alpha. */
    EXPO,
    /** The largest changes alone; strength: the density. */
    TIES,
    /** Changes dropped at random; strength: the density. */
    DARE;

    /** Whether the merge has such a strength: a share or a density in (0, 1], or an alpha above 0. */
    boolean allows(double strength) {
        return strength > 0 && (this == EXPO ? Double.isFinite(strength) : strength <= 1);
    }

    MultiLayerNetwork merge(MultiLayerNetwork start, MultiLayerNetwork tuned, double strength, long seed) {
        MergeMethod method =
                switch (this) {
                    case WISE_FT -> MergeMethod.wiseFt(strength);
                    case EXPO -> MergeMethod.expo(strength);
                    case TIES -> MergeMethod.ties();
                    case DARE -> MergeMethod.dareLinear(seed);
                };
        double density = this == TIES || this == DARE ? strength : 1;
        return Merge.networks(method).base(start).model(tuned, 1, density).merge();
    }

    /** The name in results. */
    String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** A place in tables: tuned models, earlier stops, then merges in the order of their kinds. */
    static int order(String label) {
        if (label.isEmpty()) {
            return -2;
        }
        return label.equals(Result.STOP)
                ? -1
                : of(label.substring(label.indexOf(',') + 1).trim()).ordinal();
    }

    /** The strength at which a merge, or a stop, is the tuned model itself. */
    static double strengthOfTuned(String label) {
        if (label.equals(Result.STOP)) {
            return Double.POSITIVE_INFINITY;
        }
        return of(label) == EXPO ? 0 : 1;
    }

    private static MergeKind of(String label) {
        return valueOf(label.toUpperCase(Locale.ROOT));
    }
}
