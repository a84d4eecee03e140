package io.github.dl4jretention.cache;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CacheCodecTest {

    /** Log-probabilities whose logits have a standard deviation. */
    private static float[] token(int vocabulary, double deviation, long seed) {
        Random random = new Random(seed);
        double[] logits = new double[vocabulary];
        double sum = 0;
        for (int v = 0; v < vocabulary; v++) {
            logits[v] = deviation * random.nextGaussian();
            sum += Math.exp(logits[v]);
        }
        float[] token = new float[vocabulary];
        for (int v = 0; v < vocabulary; v++) {
            token[v] = (float) (logits[v] - Math.log(sum));
        }
        return token;
    }

    private static float[] probabilities(float[] logProbabilities) {
        float[] probabilities = new float[logProbabilities.length];
        for (int v = 0; v < probabilities.length; v++) {
            probabilities[v] = (float) Math.exp(logProbabilities[v]);
        }
        return probabilities;
    }

    /** Writes a token and reads it again. */
    private static float[] coded(CacheCodec codec, float[] logProbabilities, SplittableRandom random) {
        ByteBuffer bytes = written(codec, logProbabilities, random);
        float[] read = new float[logProbabilities.length];
        codec.decode(bytes, read);
        assertEquals(0, bytes.remaining());
        return read;
    }

    private static ByteBuffer written(CacheCodec codec, float[] logProbabilities, SplittableRandom random) {
        ByteBuffer out = ByteBuffer.allocate(codec.maxBytes(logProbabilities.length));
        float[] token = codec.sampledAt().isPresent() ? probabilities(logProbabilities) : logProbabilities.clone();
        codec.encoder(logProbabilities.length).encode(token, random, out);
        return out.flip();
    }

    private static double sum(float[] logProbabilities) {
        double sum = 0;
        for (float value : logProbabilities) {
            sum += Math.exp(value);
        }
        return sum;
    }

    private static double bound(float value) {
        return Math.abs(value) * Math.scalb(1, -11) + Math.scalb(1, -25);
    }

    @ParameterizedTest
    @CsvSource({"2, 1", "6, 3", "256, 1", "257, 8", "2000, 3", "70000, 20"})
    void half_keeps_every_class_within_its_bound(int vocabulary, double deviation) {
        float[] token = token(vocabulary, deviation, vocabulary);
        token[1] = Float.NEGATIVE_INFINITY;
        float[] read = coded(CacheCodec.half(), token, new SplittableRandom(1));
        for (int v = 0; v < vocabulary; v++) {
            assertEquals(token[v], read[v], v == 1 ? 0 : bound(token[v]));
        }
    }

    @ParameterizedTest
    @CsvSource({"2, 1, 1", "6, 3, 6", "6, 3, 9", "256, 1, 12", "256, 8, 12", "2000, 3, 9", "70000, 2, 5"})
    void top_k_keeps_the_most_probable_classes_and_spreads_the_rest_evenly(int vocabulary, double deviation, int k) {
        float[] token = token(vocabulary, deviation, vocabulary + k);
        float[] read = coded(CacheCodec.topK(k), token, new SplittableRandom(1));
        float[] sorted = token.clone();
        Arrays.sort(sorted);
        int others = Math.max(0, vocabulary - k);
        float least = sorted[others];
        double rest = 0;
        for (float value : token) {
            rest += value < least ? Math.exp(value) : 0;
        }
        float each = (float) Math.log(rest / others);
        for (int v = 0; v < vocabulary; v++) {
            float expected = token[v] < least ? each : token[v];
            assertEquals(expected, read[v], bound(expected) + 1e-5, "class " + v);
        }
        assertEquals(1, sum(read), 4e-3);
    }

    @Test
    void top_k_worked_by_hand() {
        float[] token = {(float) Math.log(0.125), (float) Math.log(0.5), (float) Math.log(0.125), (float) Math.log(0.25)
        };
        float[] read = coded(CacheCodec.topK(1), token, new SplittableRandom(1));
        float sixth = (float) Math.log(0.5 / 3);
        assertArrayEquals(new float[] {sixth, (float) Math.log(0.5), sixth, sixth}, read, 1e-3f);
    }

    @Test
    void top_k_keeps_a_rest_that_is_too_small_for_a_difference_from_one() {
        float[] token = new float[256];
        Arrays.fill(token, -30);
        token[7] = 0;
        float[] read = coded(CacheCodec.topK(1), token, new SplittableRandom(1));
        assertEquals(-30, read[8], bound(-30));
    }

    @ParameterizedTest
    @CsvSource({
        "2, 1, 36",
        "6, 2, 36",
        "256, 1, 36",
        "256, 4, 36",
        "256, 4, 100",
        "2000, 3, 36",
        "2000, 1, 16",
        "70000, 3, 36"
    })
    void a_sample_takes_no_more_than_its_bytes_and_sums_to_one(int vocabulary, double deviation, int bytes) {
        CacheCodec codec = CacheCodec.sample(bytes);
        for (int seed = 0; seed < 50; seed++) {
            float[] token = token(vocabulary, deviation, seed);
            assertTrue(written(codec, token, new SplittableRandom(seed)).remaining() <= bytes);
            float[] read = coded(codec, token, new SplittableRandom(seed));
            assertEquals(1, sum(read), 3e-3);
        }
    }

    @Test
    void a_sample_of_few_classes_is_exact() {
        float[] token = token(6, 2, 3);
        float[] read = coded(CacheCodec.sample(36), token, new SplittableRandom(1));
        for (int v = 0; v < 6; v++) {
            assertEquals(token[v], read[v], bound(token[v]) + 1e-5);
        }
        float[] certain = new float[256];
        Arrays.fill(certain, Float.NEGATIVE_INFINITY);
        certain[200] = 0;
        assertArrayEquals(certain, coded(CacheCodec.sample(36), certain, new SplittableRandom(1)), 0);
    }

    /** Of 8 equal classes all are drawn with weight 1/8; of 40 in 16 bytes, 12 with 1/12 each. */
    @ParameterizedTest
    @CsvSource({"8, 8", "40, 12"})
    void a_sample_of_equal_classes_worked_by_hand(int vocabulary, int drawn) {
        float[] token = new float[vocabulary];
        Arrays.fill(token, (float) -Math.log(vocabulary));
        float[] read = coded(CacheCodec.sample(16), token, new SplittableRandom(2));
        int count = 0;
        for (float value : read) {
            if (value > Float.NEGATIVE_INFINITY) {
                assertEquals(-Math.log(drawn), value, bound(value) + 1e-6);
                count++;
            }
        }
        assertEquals(drawn, count);
    }

    @ParameterizedTest
    @ValueSource(strings = {"sample:24", "sample:36", "sample:36:2.0", "sample:36:0.5"})
    void samples_are_unbiased(String description) {
        CacheCodec codec = CacheCodec.of(description);
        double temperature = codec.sampledAt().getAsDouble();
        int vocabulary = 300;
        int samples = 20_000;
        float[] token = token(vocabulary, 2, 11);
        double[] sum = new double[vocabulary];
        double[] largest = new double[vocabulary];
        double smallest = 1;
        SplittableRandom random = new SplittableRandom(12);
        ByteBuffer out = ByteBuffer.allocate(codec.maxBytes(vocabulary));
        CacheCodec.Encoder encoder = codec.encoder(vocabulary);
        float[] read = new float[vocabulary];
        for (int i = 0; i < samples; i++) {
            encoder.encode(probabilities(token), random, out.clear());
            codec.decode(out.flip(), read);
            for (int v = 0; v < vocabulary; v++) {
                double weight = Math.exp(read[v] / temperature);
                sum[v] += weight;
                largest[v] = Math.max(largest[v], weight);
                smallest = weight > 0 ? Math.min(smallest, weight) : smallest;
            }
        }
        double tail = 0;
        double expectedTail = 0;
        for (int v = 0; v < vocabulary; v++) {
            double mean = sum[v] / samples;
            double expected = Math.exp(token[v]);
            // The variance of a number in [0, w] is at most w times its mean; one that was never drawn weighs the
            // least.
            double deviation = Math.sqrt(Math.max(largest[v], smallest) * expected / samples);
            // Weights are rounded to half precision.
            double rounding = 4e-3 * expected;
            assertEquals(expected, mean, 5 * deviation + rounding, "class " + v);
            tail += expected < smallest / 4 ? mean : 0;
            expectedTail += expected < smallest / 4 ? expected : 0;
        }
        assertTrue(expectedTail > 0);
        assertEquals(expectedTail, tail, 5 * Math.sqrt(smallest * expectedTail / samples) + 4e-3 * expectedTail);
    }

    /**
     * The cosine of {@code q - w} and {@code q - p}, gradients with respect to logits, over many tokens and students q.
     */
    private static double[] cosineAndClasses(
            BiFunction<float[], SplittableRandom, float[]> sampled, int vocabulary, double deviation) {
        SplittableRandom random = new SplittableRandom(5);
        double dot = 0;
        double whole = 0;
        double estimated = 0;
        int classes = 0;
        int tokens = 200;
        for (int i = 0; i < tokens; i++) {
            float[] teacher = token(vocabulary, deviation, i);
            float[] noise = token(vocabulary, 0.5, 1000 + i);
            float[] student = new float[vocabulary];
            for (int v = 0; v < vocabulary; v++) {
                student[v] = teacher[v] + noise[v];
            }
            double scale = sum(student);
            float[] weights = sampled.apply(teacher, random);
            for (int v = 0; v < vocabulary; v++) {
                double q = Math.exp(student[v]) / scale;
                double gradient = q - Math.exp(teacher[v]);
                double estimate = q - Math.exp(weights[v]);
                dot += gradient * estimate;
                whole += gradient * gradient;
                estimated += estimate * estimate;
                classes += weights[v] > Float.NEGATIVE_INFINITY ? 1 : 0;
            }
        }
        return new double[] {dot / Math.sqrt(whole * estimated), (double) classes / tokens};
    }

    /** Random Sampling Knowledge Distillation (arXiv 2503.16870): each class weighs its share of independent draws. */
    private static float[] independentDraws(int draws, float[] logProbabilities, SplittableRandom random) {
        int[] counts = new int[logProbabilities.length];
        for (int i = 0; i < draws; i++) {
            double point = random.nextDouble();
            int v = 0;
            for (double sum = Math.exp(logProbabilities[0]); sum <= point && v < counts.length - 1; ) {
                sum += Math.exp(logProbabilities[++v]);
            }
            counts[v]++;
        }
        float[] weights = new float[counts.length];
        for (int v = 0; v < counts.length; v++) {
            weights[v] = (float) Math.log((double) counts[v] / draws);
        }
        return weights;
    }

    @Test
    void a_sample_points_nearer_to_the_gradient_than_independent_draws_of_as_many_classes() {
        CacheCodec codec = CacheCodec.sample(24);
        double[] sample = cosineAndClasses((token, random) -> coded(codec, token, random), 256, 3);
        double[] draws = cosineAndClasses((token, random) -> independentDraws(32, token, random), 256, 3);
        String found = Arrays.toString(sample) + " " + Arrays.toString(draws);
        assertEquals(12, sample[1], 0.5, found);
        assertEquals(12, draws[1], 1, found);
        assertTrue(sample[0] > draws[0] + 0.05, found);
    }

    @Test
    void the_same_random_numbers_give_the_same_bytes() {
        float[] token = token(2000, 3, 1);
        for (String description : new String[] {"sample:36", "sample:24:2.0"}) {
            CacheCodec codec = CacheCodec.of(description);
            ByteBuffer first = written(codec, token, new SplittableRandom(7));
            assertEquals(first, written(codec, token, new SplittableRandom(7)));
            assertTrue(!first.equals(written(codec, token, new SplittableRandom(8))));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"half", "topK:12", "sample:36:1.0", "sample:40:2.5"})
    void descriptions_are_read_again(String description) {
        assertEquals(description, CacheCodec.of(description).description());
        assertEquals(description, CacheCodec.of(description).toString());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "half:1",
                "topK",
                "topK:0",
                "topK:x",
                "sample:15",
                "sample:1025",
                "sample:36:0",
                "draws:50",
                "sample:36:NaN",
                "sample:36:1:1"
            })
    void parameters_outside_of_their_range_are_refused(String description) {
        String message = assertThrows(IllegalArgumentException.class, () -> CacheCodec.of(description))
                .getMessage();
        assertTrue(message.startsWith("codec: ") && message.contains(description), message);
    }
}
