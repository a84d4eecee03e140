package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.model.ModelKind;

/** One training of one method. */
record Trial(ModelKind model, Plan.Pair pair, Plan.MethodPlan method, double strength, double learningRate, long seed) {

    /** Under which its results are found again. */
    String key() {
        return key(
                model.label(),
                pair.target().name(),
                method.method().label(),
                Double.isNaN(strength) ? "" : String.valueOf(strength),
                learningRate,
                seed);
    }

    static String key(String model, String target, String method, String strength, double learningRate, long seed) {
        return String.join(" ", model, target, method, strength, String.valueOf(learningRate), String.valueOf(seed));
    }
}
