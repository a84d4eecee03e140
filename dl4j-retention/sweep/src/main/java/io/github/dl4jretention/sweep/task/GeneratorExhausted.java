package io.github.dl4jretention.sweep.task;

import org.deeplearning4j.arbiter.optimize.api.termination.TerminationCondition;
import org.deeplearning4j.arbiter.optimize.runner.IOptimizationRunner;

/**
 * Ends Arbiter's runner when the generator has no more candidates and none is running. Arbiter by itself would go on.
 */
public final class GeneratorExhausted implements TerminationCondition {

    @Override
    public void initialize(IOptimizationRunner optimizationRunner) {}

    @Override
    public boolean terminate(IOptimizationRunner optimizationRunner) {
        return optimizationRunner.numCandidatesQueued() == 0
                && !optimizationRunner
                        .getConfiguration()
                        .getCandidateGenerator()
                        .hasMoreCandidates();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof GeneratorExhausted;
    }

    @Override
    public int hashCode() {
        return GeneratorExhausted.class.getName().hashCode();
    }

    @Override
    public String toString() {
        return "GeneratorExhausted()";
    }
}
