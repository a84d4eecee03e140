package io.github.dl4jretention.sweep.space;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.DoublePredicate;
import java.util.stream.IntStream;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;
import org.deeplearning4j.arbiter.optimize.distribution.LogUniformDistribution;
import org.deeplearning4j.arbiter.optimize.parameter.FixedValue;
import org.deeplearning4j.arbiter.optimize.parameter.continuous.ContinuousParameterSpace;
import org.deeplearning4j.arbiter.optimize.parameter.discrete.DiscreteParameterSpace;
import org.deeplearning4j.arbiter.optimize.parameter.integer.IntegerParameterSpace;
import org.deeplearning4j.arbiter.util.LeafUtils;

/** Checks of parameter spaces before they are searched, and Arbiter's raw types at one place. */
@SuppressWarnings({"rawtypes", "unchecked"})
public final class Leaves {

    private Leaves() {}

    /**
     * {@return the leaves of some spaces, each once, in their order}
     *
     * @param spaces any, leaves themselves or not
     */
    public static List<ParameterSpace> of(Iterable<? extends ParameterSpace> spaces) {
        List<ParameterSpace> leaves = new ArrayList<>();
        spaces.forEach(space -> leaves.addAll(space.collectLeaves()));
        return LeafUtils.getUniqueObjects(leaves);
    }

    /**
     * {@return number of parameters of some spaces, shared ones counted once}
     *
     * @param spaces any, leaves themselves or not
     */
    public static int count(Iterable<? extends ParameterSpace> spaces) {
        return of(spaces).stream().mapToInt(ParameterSpace::numParameters).sum();
    }

    /**
     * {@return a space's value; spaces that were read from JSON may hold whole numbers where others were written}
     *
     * @param space  of numbers, its indices set
     * @param values in [0, 1], of all parameters
     */
    public static double number(ParameterSpace<? extends Number> space, double[] values) {
        return ((Number) ((ParameterSpace) space).getValue(values)).doubleValue();
    }

    /**
     * {@return a fixed value in place of a space of a single one, which Arbiter's grid search counts wrongly; else the
     * space}
     *
     * @param <T>   the type of the values
     * @param space any
     */
    public static <T> ParameterSpace<T> collapsed(ParameterSpace<T> space) {
        boolean single = space instanceof DiscreteParameterSpace discrete && discrete.numValues() == 1
                || space instanceof IntegerParameterSpace range && range.getMin() == range.getMax();
        if (!single) {
            return space;
        }
        space.setIndices(0);
        return new FixedValue<>(space.getValue(new double[1]));
    }

    /**
     * Refuses a space that is missing, or has no value.
     *
     * @param argument its name in the message
     * @param space    of one value or more
     */
    public static void requireValues(String argument, ParameterSpace<?> space) {
        boolean none = space instanceof DiscreteParameterSpace discrete && discrete.numValues() == 0;
        if (space == null || none) {
            throw new IllegalArgumentException(argument + ": expected at least one value, got none");
        }
    }

    /**
     * Refuses a space of numbers that reaches outside of a range: all values of a discrete one, both ends of any other.
     *
     * @param argument its name in the message
     * @param space    to check; its indices are set anew
     * @param range    whether a number is within
     * @param expected the range in words
     * @throws IllegalArgumentException if it is empty or reaches outside
     */
    public static void require(
            String argument, ParameterSpace<? extends Number> space, DoublePredicate range, String expected) {
        requireValues(argument, space);
        int parameters = 0;
        for (ParameterSpace leaf : of(List.of(space))) {
            if (leaf.numParameters() > 0) {
                leaf.setIndices(parameters++);
            }
        }
        for (double point : points(space)) {
            double[] values = new double[parameters];
            Arrays.fill(values, point);
            double value = number(space, values);
            if (!range.test(value)) {
                throw new IllegalArgumentException(
                        argument + ": expected " + expected + ", got a space that reaches to " + value + ": " + space);
            }
        }
    }

    /**
     * {@return all values of a discrete or fixed space that is a leaf, each once}
     *
     * @param <T>   the type of the values
     * @param space whose index is set to 0 if it is searched
     */
    public static <T> List<T> values(ParameterSpace<T> space) {
        if (space.numParameters() > 0) {
            space.setIndices(0);
        }
        return Arrays.stream(points(space))
                .mapToObj(point -> space.getValue(new double[] {point}))
                .distinct()
                .toList();
    }

    private static double[] points(ParameterSpace space) {
        return space instanceof DiscreteParameterSpace discrete
                ? IntStream.range(0, discrete.numValues())
                        .mapToDouble(i -> (i + 0.5) / discrete.numValues())
                        .toArray()
                : new double[] {0, 1};
    }

    /**
     * {@return a log-uniform space}
     *
     * @param argument its name in the message
     * @param lowest   above 0
     * @param highest  above the lowest, finite
     * @throws IllegalArgumentException if a bound is outside of its range
     */
    public static ParameterSpace<Double> logUniform(String argument, double lowest, double highest) {
        if (!(lowest > 0 && highest > lowest && Double.isFinite(highest))) {
            throw new IllegalArgumentException(
                    argument + ": expected bounds 0 < lowest < highest for a log-uniform search, got " + lowest
                            + " and " + highest);
        }
        return new ContinuousParameterSpace(new LogUniformDistribution(lowest, highest));
    }
}
