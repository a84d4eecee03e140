package io.github.dl4jretention.cache;

import java.nio.ByteBuffer;

/**
 * See {@link CacheCodec#topK}. A token is the log-probability of each class that is not kept, then ids and
 * log-probabilities.
 */
final class TopKCodec extends CacheCodec {

    /** Below this the rest of the probability is no longer exact as a difference from 1. */
    private static final double SMALL_REST = 1e-3;

    private final int k;

    TopKCodec(int k) {
        if (k < 1) {
            throw new IllegalArgumentException("k: expected at least 1, got " + k);
        }
        this.k = k;
    }

    @Override
    public String description() {
        return "topK:" + k;
    }

    @Override
    int maxBytes(int vocabulary) {
        return Short.BYTES + Math.min(k, vocabulary) * (ClassIds.bytes(vocabulary) + Short.BYTES);
    }

    @Override
    Encoder encoder(int vocabulary) {
        TopClasses top = new TopClasses(Math.min(k, vocabulary));
        int idBytes = ClassIds.bytes(vocabulary);
        return (token, random, out) -> {
            top.select(token);
            out.putShort(HalfPrecision.of(rest(token, top)));
            for (int rank = 0; rank < top.size(); rank++) {
                ClassIds.write(top.id(rank), idBytes, out);
                out.putShort(HalfPrecision.of(top.value(rank)));
            }
        };
    }

    /** The log-probability of each class that is not kept. */
    private static double rest(float[] token, TopClasses top) {
        double rest = 1;
        for (int rank = 0; rank < top.size(); rank++) {
            rest -= Math.exp(top.value(rank));
        }
        if (rest < SMALL_REST) {
            for (int rank = 0; rank < top.size(); rank++) {
                token[top.id(rank)] = Float.NEGATIVE_INFINITY;
            }
            rest = 0;
            for (float value : token) {
                rest += Math.exp(value);
            }
        }
        return Math.log(rest / (token.length - top.size()));
    }

    @Override
    int entries(int vocabulary) {
        return Math.min(k, vocabulary);
    }

    @Override
    void decode(ByteBuffer in, int vocabulary, NamedClasses classes) {
        int idBytes = ClassIds.bytes(vocabulary);
        classes.clear(HalfPrecision.toFloat(in.getShort()));
        for (int rank = entries(vocabulary); rank > 0; rank--) {
            classes.add(ClassIds.read(in, idBytes), HalfPrecision.toFloat(in.getShort()));
        }
    }
}
