package io.github.dl4jretention.cache;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.OptionalDouble;

/** See {@link CacheCodec#draws}. A token is the number of different classes, then ids and counts. */
final class DrawsCodec extends CacheCodec {

    private static final int MOST = 255;

    private final int draws;
    private final double temperature;
    private final float[] logShares;

    DrawsCodec(int draws, double temperature) {
        if (draws < 1 || draws > MOST) {
            throw new IllegalArgumentException("draws: expected from 1 to " + MOST + ", got " + draws);
        }
        this.draws = draws;
        this.temperature = requireTemperature(temperature);
        logShares = new float[draws + 1];
        for (int count = 0; count <= draws; count++) {
            logShares[count] = (float) (temperature * Math.log((double) count / draws));
        }
    }

    @Override
    public String description() {
        return "draws:" + draws + ":" + temperature;
    }

    @Override
    public OptionalDouble sampledAt() {
        return OptionalDouble.of(temperature);
    }

    @Override
    int maxBytes(int vocabulary) {
        return 1 + Math.min(draws, vocabulary) * (ClassIds.bytes(vocabulary) + 1);
    }

    @Override
    Encoder encoder(int vocabulary) {
        int idBytes = ClassIds.bytes(vocabulary);
        double[] points = new double[draws];
        return (token, random, out) -> {
            double total = 0;
            for (float value : token) {
                total += value;
            }
            for (int i = 0; i < draws; i++) {
                points[i] = random.nextDouble() * total;
            }
            Arrays.sort(points);
            int start = out.position();
            out.put((byte) 0);
            double sum = 0;
            int classes = 0;
            int next = 0;
            for (int id = 0; id < token.length && next < draws; id++) {
                sum += token[id];
                int count = next;
                while (next < draws && points[next] < sum) {
                    next++;
                }
                if (next > count) {
                    ClassIds.write(id, idBytes, out);
                    out.put((byte) (next - count));
                    classes++;
                }
            }
            out.put(start, (byte) classes);
        };
    }

    @Override
    void decode(ByteBuffer in, float[] logProbabilities) {
        int idBytes = ClassIds.bytes(logProbabilities.length);
        Arrays.fill(logProbabilities, Float.NEGATIVE_INFINITY);
        for (int classes = in.get() & 0xFF; classes > 0; classes--) {
            int id = ClassIds.read(in, idBytes);
            logProbabilities[id] = logShares[in.get() & 0xFF];
        }
    }
}
