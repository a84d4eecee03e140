package io.github.dl4jretention.cache;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.concurrency.AffinityManager.Location;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The sequences of a minibatch, known by what is in them, so that their order, the minibatches and the epoch play no
 * part. A mask of ones is no mask. For one input of sequences whose mask ends in zeros, what these leave out is padding
 * and does not count: the same sequence has the same id in minibatches of any length.
 *
 * @param ids     of the examples, in their order
 * @param lengths of the sequences without their padding; empty where padding cannot be told
 * @param time    length of the minibatch, padding included; 0 where padding cannot be told
 */
record BatchSequences(SequenceId[] ids, int[] lengths, int time) {

    /**
     * @param features      of any types and shapes, examples on the first axis
     * @param featuresMasks null for none
     * @param trims         whether padding may be left out: not for networks that do not know masks
     */
    static BatchSequences of(INDArray[] features, INDArray @Nullable [] featuresMasks, boolean trims) {
        INDArray mask = features.length == 1 && featuresMasks != null ? featuresMasks[0] : null;
        int timeAxis = trims && mask != null ? timeAxis(features[0], mask) : 0;
        int examples = (int) features[0].size(0);
        int time = timeAxis == 0 ? 0 : (int) Objects.requireNonNull(mask).size(1);
        SequenceId[] ids = new SequenceId[examples];
        int[] lengths = new int[time == 0 ? 0 : examples];
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            Values[] inputs = Arrays.stream(features)
                    .map(array -> Values.of(array, examples))
                    .toArray(Values[]::new);
            float[][] masks = masks(features, featuresMasks, examples);
            for (int example = 0; example < examples; example++) {
                MessageDigest digest = sha256();
                for (int input = 0; input < features.length; input++) {
                    float[] row = row(masks[input], example, examples);
                    int length = time == 0 ? 0 : length(row);
                    if (time > 0) {
                        lengths[example] = length;
                        row = Arrays.copyOf(row, length);
                    }
                    inputs[input].update(digest, example, timeAxis, length);
                    update(digest, row);
                }
                ByteBuffer bytes = ByteBuffer.wrap(digest.digest());
                ids[example] = new SequenceId(bytes.getLong(), bytes.getLong());
            }
            for (Values input : inputs) {
                input.array().close();
            }
        }
        return new BatchSequences(ids, lengths, time);
    }

    /** The axis of the features that the mask's second is; 0 if none is, or two are of its size. */
    private static int timeAxis(INDArray features, INDArray mask) {
        int found = 0;
        for (int axis = 1; mask.rank() == 2 && axis < features.rank(); axis++) {
            if (features.size(axis) == mask.size(1)) {
                if (found > 0) {
                    return 0;
                }
                found = axis;
            }
        }
        return features.rank() <= 3 ? found : 0;
    }

    private static float[][] masks(INDArray[] features, INDArray @Nullable [] given, int examples) {
        float[][] masks = new float[features.length][];
        for (int i = 0; i < masks.length; i++) {
            INDArray mask = given == null || i >= given.length ? null : given[i];
            if (mask != null && mask.size(0) != examples) {
                throw new IllegalArgumentException(
                        "features mask: expected " + examples + " examples as in features of " + "shape "
                                + Arrays.toString(features[i].shape()) + ", got " + Arrays.toString(mask.shape()));
            }
            masks[i] = mask == null
                    ? new float[0]
                    : mask.dup('c').reshape(mask.length()).toFloatVector();
        }
        return masks;
    }

    private static float[] row(float[] mask, int example, int examples) {
        int length = mask.length / examples;
        return Arrays.copyOfRange(mask, example * length, (example + 1) * length);
    }

    private static int length(float[] mask) {
        int length = mask.length;
        while (length > 0 && mask[length - 1] == 0) {
            length--;
        }
        return length;
    }

    private static void update(MessageDigest digest, float[] mask) {
        boolean ones = true;
        for (float value : mask) {
            ones &= value == 1;
        }
        if (!ones) {
            ByteBuffer bytes = ByteBuffer.allocate(Float.BYTES * mask.length);
            bytes.asFloatBuffer().put(mask);
            digest.update(bytes);
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    /**
     * One input's values as bytes in the order of its axes; the bytes are those of the array for as long as it is
     * there.
     */
    private record Values(INDArray array, ByteBuffer bytes) {

        static Values of(INDArray array, int examples) {
            if (array.size(0) != examples) {
                throw new IllegalArgumentException("features: expected the same number of examples in every input, got "
                        + examples + " and shape " + Arrays.toString(array.shape()));
            }
            INDArray copy = array.dup('c');
            Nd4j.getAffinityManager().ensureLocation(copy, Location.HOST);
            return new Values(copy, copy.data().asNio());
        }

        /** @param timeAxis 0 for the whole example, else the axis that is cut to a length */
        void update(MessageDigest digest, int example, int timeAxis, int length) {
            long[] shape = array.shape();
            long[] cut = Arrays.copyOfRange(shape, 1, shape.length);
            int size = bytes.capacity() / (int) shape[0];
            int parts = 1;
            int take = size;
            if (timeAxis > 0) {
                parts = (int) Arrays.stream(cut, 0, timeAxis - 1).reduce(1, (a, b) -> a * b);
                take = size / parts / (int) shape[timeAxis] * length;
                cut[timeAxis - 1] = length;
            }
            digest.update((array.dataType() + Arrays.toString(cut)).getBytes(StandardCharsets.UTF_8));
            for (int part = 0; part < parts; part++) {
                int start = example * size + part * (size / parts);
                digest.update(bytes.duplicate().limit(start + take).position(start));
            }
        }
    }
}
