package io.github.dl4jretention.sweep.outcome;

import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;

/** The line of Java that trains a candidate again as the sweep did. */
final class JavaLine {

    private JavaLine() {}

    static String of(FinetuneConfiguration configuration) {
        return "var tuned = sweep.finetune(new FinetuneConfiguration(FinetuneMethod." + configuration.method() + ", "
                + (configuration.retention() == null ? "null" : builder(configuration.retention())) + ", "
                + configuration.learningRate() + ", " + configuration.epochs() + ", " + configuration.steps() + ", "
                + configuration.frozenUpTo() + (configuration.strength() == 0 ? "" : ", " + configuration.strength())
                + "));";
    }

    private static String builder(RetentionConfiguration retention) {
        StringBuilder line = new StringBuilder("RetentionConfiguration.builder()");
        if (retention.getDivergence() != Divergence.FORWARD_KL) {
            line.append(".divergence(Divergence.")
                    .append(retention.getDivergence())
                    .append(')');
        }
        if (retention.getDivergence() == Divergence.JENSEN_SHANNON) {
            line.append(".beta(").append(retention.getBeta()).append(')');
        }
        line.append(".coefficient(").append(retention.getCoefficient()).append(')');
        if (retention.getTemperature() != 1) {
            line.append(".temperature(").append(retention.getTemperature()).append(')');
        }
        if (retention.getLabelSmoothing() != 0) {
            line.append(".labelSmoothing(")
                    .append(retention.getLabelSmoothing())
                    .append(')');
        }
        return line.append(".build()").toString();
    }
}
