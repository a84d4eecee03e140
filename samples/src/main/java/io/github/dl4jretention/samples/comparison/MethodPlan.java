package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.loss.TokenWeight;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * A method and its strengths.
 *
 * @param strengths what they are depends on the {@link Method}; none for a method without
 * @param merges    what is tried on every tuned model afterwards, without training
 * @param stops     steps after which the model is measured too, as if training had ended there
 * @param mergeStops whether the merges are tried on models that were stopped too
 * @param learningRates in place of the plan's; empty for those
 * @param warmUps   in place of the plan's; empty for those
 * @param tokenWeight beside the divergence, such as {@code dft()}; null for none
 * @param written   how the base writes for self-replay
 * @param beside    whether replayed sequences come beside a whole minibatch of target sequences, not in the places of some
 */
public record MethodPlan(
        Method method,
        List<Double> strengths,
        List<Plan.MergePlan> merges,
        List<Integer> stops,
        boolean mergeStops,
        List<Double> learningRates,
        List<Integer> warmUps,
        @Nullable String tokenWeight,
        WrittenPlan written,
        boolean beside)
        implements Serializable {

    /** For JSON. */
    @JsonCreator
    public static MethodPlan of(
            @JsonProperty("method") Method method,
            @JsonProperty("strengths") @Nullable List<Double> strengths,
            @JsonProperty("merges") @Nullable List<Plan.MergePlan> merges,
            @JsonProperty("stops") @Nullable List<Integer> stops,
            @JsonProperty("mergeStops") boolean mergeStops,
            @JsonProperty("learningRates") @Nullable List<Double> learningRates,
            @JsonProperty("warmUps") @Nullable List<Integer> warmUps,
            @JsonProperty("tokenWeight") @Nullable String tokenWeight,
            @JsonProperty("written") @Nullable WrittenPlan written,
            @JsonProperty("beside") @Nullable Boolean beside) {
        return new MethodPlan(
                method,
                Plan.optional("strengths", strengths),
                Plan.optional("merges", merges),
                Plan.optional("stops", stops),
                mergeStops,
                Plan.rates(Plan.optional("learningRates", learningRates)),
                Plan.warmUps(Plan.optional("warmUps", warmUps)),
                tokenWeight == null ? null : TokenWeight.of(tokenWeight).toString(),
                written == null ? WrittenPlan.DEFAULT : written,
                beside != null && beside);
    }

    /** @throws IllegalArgumentException if what is given does not go with the method */
    public MethodPlan {
        Plan.requireEachOnce(
                "merges", merges.stream().map(Plan.MergePlan::merge).toList());
        if (method == null || method.hasStrength() == strengths.isEmpty()) {
            throw new IllegalArgumentException(
                    "methods: expected a method, and strengths if it has any, got " + method + " with " + strengths);
        }
        for (double strength : strengths) {
            if (!method.allows(strength)) {
                throw new IllegalArgumentException("strengths: got " + strength + ", which " + method + " cannot have");
            }
        }
        if (tokenWeight != null && !method.retains()) {
            throw new IllegalArgumentException("tokenWeight: expected one beside a divergence, got " + tokenWeight
                    + " with " + method + "; by themselves weights are methods, such as EAFT");
        }
        if (!written.equals(WrittenPlan.DEFAULT) && !method.selfReplays()) {
            throw new IllegalArgumentException(
                    "written: expected it with SELF_REPLAY or SELF_REPLAY_RETENTION, got it" + " with " + method);
        }
        if (beside && !method.replays()) {
            throw new IllegalArgumentException("beside: expected it with a method that replays, got it with " + method);
        }
    }

    /** Examples that aren't of the target in a minibatch of a method that replays. */
    int replayedExamples(int batch, double strength) {
        double share = method == Method.REPLAY ? strength : method.selfReplays() ? written.share() : Method.SHARE;
        return (int) Math.round(batch * (beside ? share / (1 - share) : share));
    }

    /** Examples of the target in a minibatch of a method that replays. */
    int targetExamples(int batch, double strength) {
        return beside ? batch : batch - replayedExamples(batch, strength);
    }

    /** The stops after which models are merged. */
    List<Integer> mergedStops() {
        return mergeStops ? stops : List.of();
    }

    /** What its strength doesn't say, in words; empty for nothing. */
    String variant() {
        List<String> words = new ArrayList<>();
        if (tokenWeight != null) {
            words.add(tokenWeight);
        }
        words.addAll(written.words());
        if (beside) {
            words.add("beside");
        }
        return String.join(", ", words);
    }

    /** The method and its variant, as one name. */
    String name() {
        return name(method.label(), variant());
    }

    static String name(String method, String variant) {
        return variant.isEmpty() ? method : method + " " + variant;
    }
}
