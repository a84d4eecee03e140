package io.github.dl4jretention.merge;

import java.util.List;

/**
 * How one parameter (a weight matrix, a bias) of several models is merged. Sums are in double, whatever the models'
 * type.
 *
 * <p>Definitions and option names are those of mergekit (github.com/arcee-ai/mergekit), where it has the method: models
 * have a {@code weight} and a {@code density}, methods {@code normalize}, {@code lambda}, {@code rescale} and {@code
 * t}. Every parameter is merged by itself.
 */
public sealed interface MergeMethod permits LinearMerge, InterpolationMerge, SlerpMerge, TaskVectorMerge {

    /**
     * One model's parameter with the model's options.
     *
     * @param values  of the parameter, flat
     * @param weight  the model's share
     * @param density share of its task vector's values that sparsifying methods keep, in (0, 1]
     */
    record Weighted(double[] values, double weight, double density) {}

    /**
     * Merges one parameter.
     *
     * @param base      the base model's; ignored by methods without one
     * @param models    the other models', of the same length
     * @param parameter its index, for methods that draw random numbers
     * @return the merged values, a new array
     */
    double[] merge(double[] base, List<Weighted> models, int parameter);

    /** {@return whether there is a base model, which the others started from} */
    default boolean hasBase() {
        return true;
    }

    /** {@return the most models that can be merged, not counting the base; {@link Integer#MAX_VALUE} for no limit} */
    default int mostModels() {
        return Integer.MAX_VALUE;
    }

    /**
     * {@return {@code sum_i weight_i w_i / sum_i weight_i}; with equal weights the uniform soup of Model soups (arXiv
     * 2203.05482)} It has no base model, and refuses weights whose sum is about 0. {@link LinearMerge#withNormalize}
     * leaves the division out.
     */
    static LinearMerge linear() {
        return new LinearMerge(true);
    }

    /**
     * {@return {@code (1 - alpha) base + alpha model}: the average of a finetuned model with its start, WiSE-FT (arXiv
     * 2109.01903)}
     *
     * @param alpha 0 gives the base, 1 the model; in [0, 1]
     * @throws IllegalArgumentException if it is outside of its range
     */
    static InterpolationMerge wiseFt(double alpha) {
        if (!(alpha >= 0 && alpha <= 1)) {
            throw new IllegalArgumentException("alpha: expected a number in [0, 1], got " + alpha);
        }
        return new InterpolationMerge(alpha);
    }

    /**
     * {@return {@code model + alpha (model - base)}: from the start through the tuned model and beyond, ExPO (arXiv
     * 2404.16792, equation 1)}
     *
     * @param alpha 0 gives the model; finite and at least 0
     * @throws IllegalArgumentException if it is outside of its range
     */
    static InterpolationMerge expo(double alpha) {
        if (!(alpha >= 0) || Double.isInfinite(alpha)) {
            throw new IllegalArgumentException("alpha: expected a finite number of at least 0, got " + alpha);
        }
        return new InterpolationMerge(1 + alpha);
    }

    /**
     * {@return spherical interpolation of the base and one model}
     *
     * @param t 0 gives the base, 1 the model; in [0, 1]
     * @throws IllegalArgumentException if it is outside of its range
     */
    static SlerpMerge slerp(double t) {
        return new SlerpMerge(t);
    }

    /**
     * {@return {@code base + lambda sum_i weight_i (w_i - base)}: task arithmetic (arXiv 2212.04089), with lambda 1} A
     * model with a negative weight makes the merged one forget its task.
     */
    static TaskVectorMerge taskArithmetic() {
        return new TaskVectorMerge(TaskVectorMerge.Sparsification.NONE, false, false, false, 1, 0);
    }

    /**
     * {@return TIES (arXiv 2306.01708): each task vector keeps its share {@code density} of largest values; where signs
     * differ, the sign of the weighted sum is elected, and values of the other sign are left out} The sum is divided by
     * the weights of the values that remain ({@code normalize}). Each parameter is trimmed by itself, as in mergekit;
     * the paper's code trims the whole model's task vector at once.
     */
    static TaskVectorMerge ties() {
        return new TaskVectorMerge(TaskVectorMerge.Sparsification.MAGNITUDE, true, true, false, 1, 0);
    }

    /**
     * {@return DARE (arXiv 2311.03099): each value of a task vector is kept with probability {@code density} and then
     * divided by it ({@code rescale}), so that its expectation stays the same; then comes task arithmetic} This is
     * mergekit's {@code dare_linear}; its newest versions rescale to the task vector's L1 norm instead.
     *
     * @param seed same seed, same merged model
     */
    static TaskVectorMerge dareLinear(long seed) {
        return new TaskVectorMerge(TaskVectorMerge.Sparsification.RANDOM, false, false, true, 1, seed);
    }

    /**
     * {@return the same as {@link #dareLinear}, then with the sign election of TIES; mergekit's {@code dare_ties}}
     *
     * @param seed same seed, same merged model
     */
    static TaskVectorMerge dareTies(long seed) {
        return new TaskVectorMerge(TaskVectorMerge.Sparsification.RANDOM, true, false, true, 1, seed);
    }
}
