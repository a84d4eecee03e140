package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;

/** The loss of a candidate. */
final class RetentionOf {

    private static final RetentionConfiguration PLAIN =
            RetentionConfiguration.builder().coefficient(0).build();

    private RetentionOf() {}

    /** Plain finetuning is retention at coefficient 0, whose numbers are the stock layer's. */
    static RetentionConfiguration candidate(FinetuneConfiguration configuration) {
        return configuration.retention() == null ? PLAIN : configuration.retention();
    }
}
