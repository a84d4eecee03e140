package io.github.dl4jretention.sweep.task;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/** SHA-256 of the features, labels and masks of all batches of a text, and of their number. */
final class BatchesDigest {

    private final MessageDigest digest;

    private BatchesDigest() {
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    /**
     * @param name of the text, for the message
     * @throws IllegalArgumentException if there is no batch
     */
    static String sha256(String name, Batches batches) {
        BatchesDigest digest = new BatchesDigest();
        MultiDataSetIterator iterator = batches.iterator();
        if (!iterator.hasNext()) {
            throw new IllegalArgumentException(name + ": expected at least one batch, got none");
        }
        int count = 0;
        for (; iterator.hasNext(); count++) {
            MultiDataSet batch = iterator.next();
            digest.add(batch.getFeatures());
            digest.add(batch.getLabels());
            digest.add(batch.getFeaturesMaskArrays());
            digest.add(batch.getLabelsMaskArrays());
        }
        digest.add(count);
        return HexFormat.of().formatHex(digest.digest.digest());
    }

    private void add(int number) {
        digest.update(ByteBuffer.allocate(Integer.BYTES).putInt(number).flip());
    }

    private void add(INDArray[] arrays) {
        if (arrays == null) {
            digest.update((byte) 0);
            return;
        }
        for (INDArray array : arrays) {
            String shape = array == null ? "null" : Arrays.toString(array.shape());
            digest.update(shape.getBytes(StandardCharsets.UTF_8));
            if (array != null) {
                double[] values = array.dup('c').reshape(array.length()).toDoubleVector();
                ByteBuffer bytes = ByteBuffer.allocate(values.length * Double.BYTES);
                bytes.asDoubleBuffer().put(values);
                digest.update(bytes);
            }
        }
    }
}
