package io.github.dl4jretention.sweep.report;

import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/** Names and colours of candidates. */
final class Candidates {

    private Candidates() {}

    /** What a candidate is, for a reader: what does not vary from the defaults is left out. */
    static String name(CandidateOutcome candidate) {
        FinetuneConfiguration configuration = candidate.configuration();
        if (configuration == null) {
            return "#" + candidate.index() + ": not generated";
        }
        StringBuilder name = new StringBuilder("#" + candidate.index() + ": ");
        RetentionConfiguration retention = configuration.retention();
        if (retention == null) {
            name.append(method(configuration));
            if (configuration.method().hasStrength()) {
                name.append(' ').append(Html.compact(configuration.strength()));
            }
        } else {
            name.append("coefficient ").append(Html.compact(retention.getCoefficient()));
            if (retention.getTemperature() != 1) {
                name.append(", T ").append(Html.compact(retention.getTemperature()));
            }
            if (retention.getDivergence() != Divergence.FORWARD_KL) {
                name.append(", ").append(retention.getDivergence());
            }
        }
        return name.append(", learning rate ")
                .append(Html.compact(configuration.learningRate()))
                .toString();
    }

    /** A method's name for a reader. */
    static String method(FinetuneConfiguration configuration) {
        return configuration.method().name().toLowerCase(Locale.ROOT).replace('_', ' ');
    }

    /** From blue at the least coefficient (plain finetuning) to red at the largest. */
    static String colour(SweepOutcome sweep, CandidateOutcome candidate) {
        List<Double> coefficients = sweep.candidates().stream()
                .map(Candidates::order)
                .distinct()
                .sorted(Comparator.naturalOrder())
                .toList();
        double share = coefficients.size() < 2
                ? 0
                : (double) coefficients.indexOf(order(candidate)) / (coefficients.size() - 1);
        return String.format(Locale.ROOT, "hsl(%.0f 70%% 42%%)", 225 - 225 * share);
    }

    private static double order(CandidateOutcome candidate) {
        return Double.isNaN(candidate.coefficient()) ? -1 : candidate.coefficient();
    }
}
