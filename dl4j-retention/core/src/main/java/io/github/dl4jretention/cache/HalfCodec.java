package io.github.dl4jretention.cache;

import java.nio.ByteBuffer;

/** See {@link CacheCodec#half}. */
final class HalfCodec extends CacheCodec {

    @Override
    public String description() {
        return "half";
    }

    @Override
    int maxBytes(int vocabulary) {
        return Short.BYTES * vocabulary;
    }

    @Override
    Encoder encoder(int vocabulary) {
        return (token, random, out) -> {
            for (float value : token) {
                writeHalf(value, out);
            }
        };
    }

    @Override
    int entries(int vocabulary) {
        return 0;
    }

    @Override
    void decode(ByteBuffer in, int vocabulary, NamedClasses classes) {
        throw new UnsupportedOperationException("every class has a number of its own");
    }

    @Override
    void decode(ByteBuffer in, float[] logProbabilities) {
        int start = in.position();
        for (int id = 0; id < logProbabilities.length; id++) {
            logProbabilities[id] = toFloat(in.getShort(start + Short.BYTES * id));
        }
        in.position(start + Short.BYTES * logProbabilities.length);
    }
}
