package io.github.dl4jretention.sweep.outcome;

import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;

/** The line of Java that makes a candidate's student from the pretrained network. */
final class JavaLine {

    private JavaLine() {}

    /** @param updater simple name of an updater class with a constructor that takes the learning rate */
    static String of(FinetuneConfiguration configuration, String updater) {
        String start = "Retention.withUpdater(pretrained, new " + updater + "(" + configuration.learningRate() + "))";
        if (configuration.frozenUpTo() >= 0) {
            start = "new TransferLearning.Builder(" + start + ").setFeatureExtractor(" + configuration.frozenUpTo()
                    + ").build()";
        }
        return configuration.method() == FinetuneMethod.PLAIN
                ? "var student = " + start + ";"
                : "var student = Retention.attach(" + start + ", " + builder(configuration.retention()) + ", teacher);";
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
