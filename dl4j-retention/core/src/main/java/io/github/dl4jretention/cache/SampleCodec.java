package io.github.dl4jretention.cache;

import io.github.dl4jretention.internal.TopClasses;
import java.nio.ByteBuffer;
import java.util.OptionalDouble;
import java.util.SplittableRandom;

/** See {@link CacheCodec#sample(int)}. */
final class SampleCodec extends CacheCodec {

    private static final int FEWEST_BYTES = 16;
    private static final int MOST_BYTES = 1024;
    private static final int COUNTS = 2;
    /** Less probability than this outside of the kept classes is rounding. */
    private static final double NOTHING = 1e-9;

    private final int bytes;
    private final double temperature;

    SampleCodec(int bytes, double temperature) {
        if (bytes < FEWEST_BYTES || bytes > MOST_BYTES) {
            throw new IllegalArgumentException(
                    "bytes: expected from " + FEWEST_BYTES + " to " + MOST_BYTES + ", got " + bytes);
        }
        this.bytes = bytes;
        this.temperature = requireTemperature(temperature);
    }

    @Override
    public String description() {
        return "sample:" + bytes + ":" + temperature;
    }

    @Override
    public OptionalDouble sampledAt() {
        return OptionalDouble.of(temperature);
    }

    @Override
    int maxBytes(int vocabulary) {
        return bytes;
    }

    @Override
    Encoder encoder(int vocabulary) {
        return new SampleEncoder(vocabulary);
    }

    @Override
    int entries(int vocabulary) {
        return Math.min(Math.min(vocabulary, 255), (bytes - COUNTS) / idBytes(vocabulary));
    }

    @Override
    void decode(ByteBuffer in, int vocabulary, NamedClasses classes) {
        int idBytes = idBytes(vocabulary);
        classes.clear(Double.NEGATIVE_INFINITY);
        int kept = in.get() & 0xFF;
        int drawn = in.get() & 0xFF;
        float threshold = drawn == 0 ? 0 : toFloat(in.getShort());
        for (; kept > 0; kept--) {
            int id = readId(in, idBytes);
            classes.add(id, (float) temperature * toFloat(in.getShort()));
        }
        for (; drawn > 0; drawn--) {
            classes.add(readId(in, idBytes), (float) temperature * threshold);
        }
    }

    private final class SampleEncoder implements Encoder {

        private final int idBytes;
        private final TopClasses top;
        private final int[] drawn;

        SampleEncoder(int vocabulary) {
            idBytes = idBytes(vocabulary);
            int most = entries(vocabulary);
            top = new TopClasses(most);
            drawn = new int[most];
        }

        @Override
        public void encode(float[] token, SplittableRandom random, ByteBuffer out) {
            double total = 0;
            for (float value : token) {
                total += value;
            }
            top.select(token);
            int classes = top.size();
            int kept = kept(classes, total);
            while (size(kept, classes) > bytes) {
                classes--;
                kept = kept(classes, total);
            }
            double rest = total;
            for (int rank = 0; rank < kept; rank++) {
                rest -= top.value(rank);
                token[top.id(rank)] = 0;
            }
            double threshold = rest / (classes - kept);
            int count = rest <= NOTHING * total ? 0 : draw(token, threshold, classes - kept, random);
            out.put((byte) kept).put((byte) count);
            if (count > 0) {
                writeHalf(Math.log(threshold / total), out);
            }
            for (int rank = 0; rank < kept; rank++) {
                writeId(top.id(rank), idBytes, out);
                writeHalf(Math.log(top.value(rank) / total), out);
            }
            for (int i = 0; i < count; i++) {
                writeId(drawn[i], idBytes, out);
            }
        }

        /** How many of the most probable classes are above the threshold of a sample of so many classes. */
        private int kept(int classes, double total) {
            double rest = total;
            int kept = 0;
            while (kept < classes && rest > NOTHING * total && top.value(kept) * (classes - kept) > rest) {
                rest -= top.value(kept++);
            }
            return kept;
        }

        private int size(int kept, int classes) {
            return COUNTS + Short.BYTES * (kept + 1) + idBytes * classes;
        }

        private int draw(float[] rest, double threshold, int points, SplittableRandom random) {
            double point = random.nextDouble() * threshold;
            double sum = 0;
            int count = 0;
            for (int id = 0; id < rest.length && count < points; id++) {
                sum += rest[id];
                if (sum > point) {
                    drawn[count++] = id;
                    point += threshold;
                }
            }
            return count;
        }
    }
}
