package io.github.dl4jretention.sweep.outcome;

import io.github.dl4jretention.sweep.task.Losses;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** The Pareto front of candidates. */
final class TradeOff {

    private TradeOff() {}

    static List<CandidateOutcome> front(List<CandidateOutcome> candidates) {
        List<CandidateOutcome> sorted = candidates.stream()
                .sorted(Comparator.<CandidateOutcome>comparingDouble(
                                c -> c.validation().target())
                        .thenComparingDouble(c -> c.validation().source())
                        .thenComparingInt(CandidateOutcome::index))
                .toList();
        List<CandidateOutcome> front = new ArrayList<>();
        double least = Double.POSITIVE_INFINITY;
        for (CandidateOutcome c : sorted) {
            if (c.validation().source() < least) {
                least = c.validation().source();
                front.add(0, c);
            }
        }
        return front;
    }

    static double hypervolume(List<CandidateOutcome> front, Losses base, double[] reference) {
        double area = 0;
        double left = reference[0];
        for (CandidateOutcome c : front) {
            double gain = c.validation().gain(base);
            double below = reference[1] - c.validation().forgetting(base);
            if (gain > left && below > 0) {
                area += (gain - left) * below;
                left = gain;
            }
        }
        return area;
    }
}
