package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;

/** The loss of a candidate. */
final class RetentionOf {

    private static final RetentionConfiguration PLAIN =
            RetentionConfiguration.builder().coefficient(0).build();

    private RetentionOf() {}

    /** Methods without a teacher are retention at coefficient 0, whose numbers are the stock layer's. */
    static RetentionConfiguration candidate(FinetuneConfiguration configuration) {
        return switch (configuration.method()) {
            case RETENTION -> configuration.retention();
            case LABEL_SMOOTHING -> RetentionConfiguration.builder()
                    .coefficient(0)
                    .labelSmoothing(configuration.strength())
                    .build();
            case PLAIN, L2_SP, EWC, MAS, REPLAY -> PLAIN;
        };
    }
}
