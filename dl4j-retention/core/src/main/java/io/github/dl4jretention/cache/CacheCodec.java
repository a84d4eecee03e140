package io.github.dl4jretention.cache;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.OptionalDouble;
import java.util.SplittableRandom;
import org.bytedeco.javacpp.indexer.HalfIndexer;

/**
 * How a {@link TeacherCache} writes a token's distribution over V classes. Ids of classes take 1 byte up to V = 256, 2
 * up to 65,536, else 4.
 *
 * <table>
 * <caption>Codecs</caption>
 * <tr><th>codec</th><th>kept</th><th>bytes a token</th><th>divergences</th></tr>
 * <tr><td>{@link #half}</td><td>every log-probability, in half precision</td><td>2 V</td><td>all</td></tr>
 * <tr><td>{@link #topK}</td><td>the k most probable classes; the rest spread evenly</td><td>2 + k (2 + id)</td>
 *     <td>all</td></tr>
 * <tr><td>{@link #sample}</td><td>an unbiased sample of least variance</td><td>as given</td><td>forward KL</td></tr>
 * </table>
 */
public abstract class CacheCodec {

    /** Bytes a token of the default codec. */
    static final int DEFAULT_BYTES = 36;

    CacheCodec() {}

    /** {@return the default: {@link #sample} of 36 bytes a token, for temperature 1} */
    public static CacheCodec standard() {
        return sample(DEFAULT_BYTES);
    }

    /**
     * {@return every log-probability in half precision: within 2^-11 of itself, within 2^-25 nats where it is above
     * -2^-14} What is below -65519 becomes {@code -inf}. Serves every temperature.
     */
    public static CacheCodec half() {
        return new HalfCodec();
    }

    /**
     * {@return the k most probable classes, their log-probabilities in half precision; the rest of the probability is
     * spread evenly over the other classes} The spread is a bias: the fewer of the teacher's probability lies in k
     * classes, the larger. Serves every temperature.
     *
     * @param k at least 1; at V or more every class is kept
     * @throws IllegalArgumentException if it is below 1
     */
    public static CacheCodec topK(int k) {
        return new TopKCodec(k);
    }

    /**
     * {@return an unbiased sample of least variance, for temperature 1: the distribution {@code w} with
     * {@code E[w(v)] = p(v)} for every class v whose sum of variances is the smallest among those of m classes}
     *
     * <p>With forward KL, whose gradient is linear in the teacher's distribution, the expected gradient is the whole
     * distribution's. With the threshold t such that {@code sum_v min(1, p(v) / t) = m}, classes of {@code p(v) > t}
     * are kept with {@code w(v) = p(v)}; of the others, class v is drawn with probability {@code p(v) / t}, as one of
     * evenly spaced points on the line of their probabilities, and has {@code w(v) = t}. The drawn classes share one
     * weight, so that only their ids are written. m is as large as the bytes allow: a token of few probable classes is
     * nearly exact, of a flat one many classes are drawn.
     *
     * <p>Source: Anshumann et al., Sparse Logit Sampling, arXiv 2503.16870, for sampled teachers; Cohen et al., Stream
     * sampling for variance-optimal estimation of subset sums, arXiv 0803.0473, for the threshold.
     *
     * @param bytes a token at most, from 16 to 1,024
     * @throws IllegalArgumentException if it is another number
     */
    public static CacheCodec sample(int bytes) {
        return new SampleCodec(bytes, 1);
    }

    /**
     * {@return the same as {@link #sample(int)}, for another temperature}
     *
     * @param bytes       a token at most, from 16 to 1,024
     * @param temperature of the student's {@link io.github.dl4jretention.loss.RetentionConfiguration}: a sample of one
     *     temperature's distribution is no sample of another's. Finite and above 0
     * @throws IllegalArgumentException if a number is outside of its range
     */
    public static CacheCodec sample(int bytes, double temperature) {
        return new SampleCodec(bytes, temperature);
    }

    /**
     * {@return the codec of a {@link #description}: {@code half}, {@code topK:12}, {@code sample:36}} A sample
     * may have a temperature, {@code sample:36:2.0}; default 1.
     *
     * @param description name and parameters, separated by colons
     * @throws IllegalArgumentException if there is none
     */
    public static CacheCodec of(String description) {
        String[] parts = description.split(":", -1);
        try {
            double temperature = parts.length == 3 ? Double.parseDouble(parts[2]) : 1;
            switch (parts[0] + " " + parts.length) {
                case "half 1":
                    return half();
                case "topK 2":
                    return topK(Integer.parseInt(parts[1]));
                case "sample 2", "sample 3":
                    return sample(Integer.parseInt(parts[1]), temperature);
                default:
                    throw new IllegalArgumentException("expected half, topK:K or sample:BYTES");
            }
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("codec: " + e.getMessage() + ", got \"" + description + "\"", e);
        }
    }

    /** {@return name and parameters, as {@link #of} reads them; part of a cache's key} */
    public abstract String description();

    /**
     * {@return temperature whose distribution is sampled; empty for codecs that keep whole distributions, at
     * temperature 1}
     */
    public OptionalDouble sampledAt() {
        return OptionalDouble.empty();
    }

    @Override
    public String toString() {
        return description();
    }

    /** The most that a token takes. */
    abstract int maxBytes(int vocabulary);

    /** Encoders have scratch space: one for each thread. */
    abstract Encoder encoder(int vocabulary);

    /** How many classes a token names at most; 0 if every class has a number of its own. */
    abstract int entries(int vocabulary);

    /**
     * Reads the classes that an encoder named.
     *
     * @param classes to be replaced; as many as {@link #entries} says at most
     */
    abstract void decode(ByteBuffer in, int vocabulary, NamedClasses classes);

    /** Reads what an encoder wrote, as log-probabilities; after division by {@link #sampledAt()} for samples. */
    void decode(ByteBuffer in, float[] logProbabilities) {
        NamedClasses classes = new NamedClasses(entries(logProbabilities.length));
        decode(in, logProbabilities.length, classes);
        Arrays.fill(logProbabilities, (float) classes.rest);
        for (int i = 0; i < classes.size; i++) {
            logProbabilities[classes.ids[i]] = classes.logProbabilities[i];
        }
    }

    /** Some classes of a token and their log-probabilities. */
    static final class NamedClasses {

        final int[] ids;
        final float[] logProbabilities;
        int size;

        /** The log-probability of each class that isn't named. */
        double rest;

        NamedClasses(int capacity) {
            ids = new int[capacity];
            logProbabilities = new float[capacity];
        }

        void clear(double logProbabilityOfOthers) {
            rest = logProbabilityOfOthers;
            size = 0;
        }

        void add(int id, float logProbability) {
            ids[size] = id;
            logProbabilities[size++] = logProbability;
        }
    }

    /** Writes tokens. */
    interface Encoder {

        /**
         * @param token log-probabilities at temperature 1; probabilities at {@link #sampledAt()} for samples.
         *     Overwritten
         * @param random draws samples
         */
        void encode(float[] token, SplittableRandom random, ByteBuffer out);
    }

    /** Numbers of 16 bits (IEEE 754 binary16) as floats. */
    private static final float[] HALVES = new float[1 << 16];

    static {
        for (int bits = 0; bits < HALVES.length; bits++) {
            HALVES[bits] = HalfIndexer.toFloat(bits);
        }
    }

    static void writeHalf(double value, ByteBuffer out) {
        out.putShort((short) HalfIndexer.fromFloat((float) value));
    }

    static float toFloat(short bits) {
        return HALVES[bits & 0xFFFF];
    }

    /** Bytes of a class id. */
    static int idBytes(int vocabulary) {
        return vocabulary <= 1 << 8 ? 1 : vocabulary <= 1 << 16 ? 2 : 4;
    }

    static void writeId(int id, int bytes, ByteBuffer out) {
        switch (bytes) {
            case 1 -> out.put((byte) id);
            case 2 -> out.putShort((short) id);
            default -> out.putInt(id);
        }
    }

    static int readId(ByteBuffer in, int bytes) {
        return switch (bytes) {
            case 1 -> in.get() & 0xFF;
            case 2 -> in.getShort() & 0xFFFF;
            default -> in.getInt();
        };
    }

    static double requireTemperature(double temperature) {
        if (!(temperature > 0) || Double.isInfinite(temperature)) {
            throw new IllegalArgumentException("temperature: expected a finite number above 0, got " + temperature);
        }
        return temperature;
    }
}
