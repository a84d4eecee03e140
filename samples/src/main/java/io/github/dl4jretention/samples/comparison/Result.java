package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.Domain;
import java.io.Serializable;
import java.math.BigDecimal;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * One measured model: a row of the results.
 *
 * @param model         name of the base
 * @param target        domain
 * @param method        label; "base" for the base itself
 * @param variant       settings of the method that its strength doesn't say, in words; empty for none
 * @param strength      of the method; NaN for none
 * @param merge         label of the merge with the start, "stop" for an earlier end of training, "stop 80, wise_ft" for a
 *     merge after an earlier end, empty for none
 * @param mergeStrength of the merge; the step of a stop; NaN for none
 * @param learningRate  NaN for the base
 * @param warmUp        steps in which the learning rate rises
 * @param seed          0 for the base
 * @param steps         of the plan
 * @param batch         of the plan
 * @param validation    for choices
 * @param test          for reports
 * @param stepMillis    median time of a training step, whatever else ran; methods are compared by {@link StepTimes}
 * @param heldMegabytes parameters, gradients, updater state, teacher and penalty of the training; without activations
 */
public record Result(
        String model,
        String target,
        String method,
        String variant,
        double strength,
        String merge,
        double mergeStrength,
        double learningRate,
        int warmUp,
        long seed,
        int steps,
        int batch,
        Scores validation,
        Scores test,
        double stepMillis,
        double heldMegabytes)
        implements Serializable {

    static final String BASE = "base";
    static final String STOP = "stop";

    boolean isBase() {
        return method.equals(BASE);
    }

    /** What a token of the model is: a byte in the sample models. */
    String unit() {
        return Stream.of(ModelKind.values()).anyMatch(kind -> kind.label().equals(model)) ? "byte" : "token";
    }

    /** The label of a merge after an earlier end of training. */
    static String stopped(int step, MergeKind merge) {
        return STOP + " " + step + ", " + merge.label();
    }

    /** Whether it is a merge after an earlier end of training. */
    boolean isStoppedMerge() {
        return merge.startsWith(STOP + " ");
    }

    /**
     * After how many steps training ended.
     *
     * @see #ofLastStep()
     */
    int trainedSteps() {
        if (isStoppedMerge()) {
            return Integer.parseInt(merge.substring(STOP.length() + 1, merge.indexOf(',')));
        }
        return merge.equals(STOP) ? (int) mergeStrength : steps;
    }

    /** The same scores, as if training had been meant to end where it did. */
    Result ofLastStep() {
        String label = isStoppedMerge() ? merge.substring(merge.indexOf(',') + 2) : merge.equals(STOP) ? "" : merge;
        return with(label, label.isEmpty() ? Double.NaN : mergeStrength, trainedSteps(), test);
    }

    /** The same, and what it loses on each document of the test text. */
    Result withDocuments(Map<Domain, List<Scores.Document>> documents) {
        return with(merge, mergeStrength, steps, test.with(documents, test.tasks()));
    }

    /** The same, and what it answers. */
    Result withTasks(Map<String, Scores.TaskScore> tasks) {
        return with(merge, mergeStrength, steps, test.with(test.documents(), tasks));
    }

    private Result with(String newMerge, double newMergeStrength, int newSteps, Scores newTest) {
        return new Result(
                model,
                target,
                method,
                variant,
                strength,
                newMerge,
                newMergeStrength,
                learningRate,
                warmUp,
                seed,
                newSteps,
                batch,
                validation,
                newTest,
                stepMillis,
                heldMegabytes);
    }

    static String point(String merge, double strength) {
        return merge + " " + strength;
    }

    /** Which of its trial's rows it is. */
    String point() {
        return point(merge, mergeStrength);
    }

    /** Words for tables: the strength of the method, and what was done afterwards with its strength. */
    String strengths() {
        String own = Double.isNaN(strength) ? "" : number(strength);
        String after = merge.isEmpty() ? "" : merge + " " + number(mergeStrength);
        return isBase() ? "the base itself" : own.isEmpty() || after.isEmpty() ? own + after : own + ", " + after;
    }

    static String number(double value) {
        if (Double.isNaN(value) || value != 0 && (Math.abs(value) < 1e-6 || Math.abs(value) > 1e9)) {
            return String.valueOf(value);
        }
        return BigDecimal.valueOf(value).stripTrailingZeros().toPlainString();
    }

    /** Whether the tuned model has no scores because it gives no finite numbers. */
    boolean isDiverged() {
        return merge.isEmpty() && Double.isNaN(validation.target());
    }

    String key() {
        return Trial.key(model, target, method, variant, strength, learningRate, warmUp, seed);
    }
}
