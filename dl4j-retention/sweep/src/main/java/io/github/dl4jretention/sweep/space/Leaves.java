package io.github.dl4jretention.sweep.space;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.function.DoublePredicate;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;
import org.deeplearning4j.arbiter.optimize.distribution.LogUniformDistribution;
import org.deeplearning4j.arbiter.optimize.parameter.FixedValue;
import org.deeplearning4j.arbiter.optimize.parameter.continuous.ContinuousParameterSpace;
import org.deeplearning4j.arbiter.optimize.parameter.discrete.DiscreteParameterSpace;
import org.deeplearning4j.arbiter.optimize.parameter.integer.IntegerParameterSpace;
import org.deeplearning4j.arbiter.optimize.serde.jackson.JsonMapper;
import org.deeplearning4j.arbiter.util.LeafUtils;
import org.nd4j.shade.jackson.core.JsonProcessingException;

/** Checks parameter spaces before they're searched, and keeps Arbiter's raw types in one place. */
@SuppressWarnings({"rawtypes", "unchecked"})
public final class Leaves {

    private static final Object LOCK = new Object();

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
     * <p>A value of a continuous space is rounded, see {@link #rounded}.
     *
     * @param space  of numbers, its indices set
     * @param values in [0, 1], of all parameters
     */
    public static double number(ParameterSpace<? extends Number> space, double[] values) {
        double value = ((Number) ((ParameterSpace) space).getValue(values)).doubleValue();
        return space instanceof ContinuousParameterSpace
                ? rounded(value, bound(space, values, 0), bound(space, values, 1))
                : value;
    }

    /** Arbiter has no getter for it, and computes 0.10000000000000002 where 0.1 was asked for. */
    private static double bound(ParameterSpace<? extends Number> space, double[] values, double end) {
        double[] ends = new double[values.length];
        Arrays.fill(ends, end);
        return rounded((double) space.getValue(ends), 15);
    }

    /**
     * {@return a number near another that people can read: of four digits, or of more where the bounds are so near each
     * other that a thousand numbers would not fit between them; a bound itself is kept, and no number is outside of them}
     *
     * @param value   finite
     * @param lowest  bound; may be infinite
     * @param highest bound; may be infinite
     */
    static double rounded(double value, double lowest, double highest) {
        if (value == 0 || !Double.isFinite(value)) {
            return value;
        }
        for (double bound : new double[] {lowest, highest}) {
            if (Double.isFinite(bound) && Math.abs(value - bound) <= 1e-12 * Math.abs(bound)) {
                return bound;
            }
        }
        int digits = 4;
        double unit = Math.pow(10, Math.floor(Math.log10(Math.abs(value))) - 3);
        while (digits < 17 && unit > (highest - lowest) / 1000) {
            digits++;
            unit /= 10;
        }
        return Math.max(lowest, Math.min(highest, rounded(value, digits)));
    }

    private static double rounded(double value, int digits) {
        return Double.isFinite(value)
                ? new BigDecimal(value).round(new MathContext(digits)).doubleValue()
                : value;
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
        return new FixedValue<>((T) pointValues(space).get(0));
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
     * @param space    to check; a generator may search it meanwhile
     * @param range    whether a number is within
     * @param expected the range in words
     * @throws IllegalArgumentException if it is empty or reaches outside
     */
    public static void require(
            String argument, ParameterSpace<? extends Number> space, DoublePredicate range, String expected) {
        requireValues(argument, space);
        numbers(space).filter(value -> !range.test(value)).findFirst().ifPresent(value -> {
            throw new IllegalArgumentException(
                    argument + ": expected " + expected + ", got a space that reaches to " + value + ": " + space);
        });
    }

    /**
     * {@return the least and the largest of a space of numbers, as far as {@link #require} looks}
     *
     * @param space not empty
     */
    public static DoubleSummaryStatistics range(ParameterSpace<? extends Number> space) {
        return numbers(space).summaryStatistics();
    }

    private static DoubleStream numbers(ParameterSpace<? extends Number> space) {
        return pointValues(space).stream().mapToDouble(Leaves::number);
    }

    /** JSON, which a copy went through, has words for what is not finite. */
    private static double number(Object value) {
        return value instanceof Number number ? number.doubleValue() : Double.parseDouble(value.toString());
    }

    private static List<Object> pointValues(ParameterSpace space) {
        ParameterSpace copy = copy(space);
        return exclusively(() -> {
            int parameters = setIndices(List.of(copy));
            List<Object> values = new ArrayList<>();
            for (double point : points(copy)) {
                double[] all = new double[parameters];
                Arrays.fill(all, point);
                values.add(copy.getValue(all));
            }
            return values;
        });
    }

    /** Leaves that are shared are several in the copy, which is no matter where all have the same value. */
    private static ParameterSpace copy(ParameterSpace space) {
        try {
            return JsonMapper.getMapper()
                    .readValue(JsonMapper.getMapper().writeValueAsString(space), ParameterSpace.class);
        } catch (JsonProcessingException e) {
            // A space of the user's own that Arbiter cannot read: its indices are set anew.
            return space;
        }
    }

    /**
     * Numbers the parameters of some spaces' leaves from 0 in their order, as Arbiter's generators do.
     *
     * @param spaces any, leaves themselves or not
     * @return how many there are
     */
    public static int setIndices(Iterable<? extends ParameterSpace> spaces) {
        int next = 0;
        for (ParameterSpace leaf : of(spaces)) {
            int count = leaf.numParameters();
            if (count > 0) {
                leaf.setIndices(IntStream.range(next, next + count).toArray());
                next += count;
            }
        }
        return next;
    }

    /**
     * {@return the result of work that relies on indices of leaves, which others may search, too}
     *
     * @param <T>  the type of the result
     * @param work is done while no other such work is
     */
    public static <T> T exclusively(Supplier<T> work) {
        synchronized (LOCK) {
            return work.get();
        }
    }

    /**
     * {@return all values of a discrete or fixed space that is a leaf, each once}
     *
     * @param <T>   the type of the values
     * @param space not empty; a generator may search it meanwhile
     */
    public static <T> List<T> values(ParameterSpace<T> space) {
        return (List<T>) pointValues(space).stream().distinct().toList();
    }

    private static double[] points(ParameterSpace space) {
        return space instanceof DiscreteParameterSpace discrete
                ? IntStream.range(0, discrete.numValues())
                        .mapToDouble(i -> (i + 0.5) / discrete.numValues())
                        .toArray()
                : new double[] {0, 1};
    }

    /**
     * {@return a space of some numbers}
     *
     * @param values one or more
     */
    public static ParameterSpace<Double> discrete(double... values) {
        return new DiscreteParameterSpace<>(Arrays.stream(values).boxed().collect(Collectors.toList()));
    }

    /**
     * {@return a space of some numbers}
     *
     * @param values one or more
     */
    public static ParameterSpace<Integer> discrete(int... values) {
        return new DiscreteParameterSpace<>(Arrays.stream(values).boxed().collect(Collectors.toList()));
    }

    /**
     * {@return a space of the names of some constants}
     *
     * @param values one or more
     */
    public static ParameterSpace<String> discrete(Enum<?>... values) {
        return new DiscreteParameterSpace<>(
                Arrays.stream(values).map(Enum::name).collect(Collectors.toList()));
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
