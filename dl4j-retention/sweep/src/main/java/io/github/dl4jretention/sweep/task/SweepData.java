package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.sweep.space.FinetuneMethod;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/**
 * The texts of a sweep. Candidates are trained on target text, chosen by validation text, and reported on test text,
 * which plays no part in the choice. The target is what the model should learn, the source what it must not forget.
 *
 * @param training target text to train on; every candidate gets the same batches
 * @param validationTarget held-out target text
 * @param validationSource held-out source text
 * @param testTarget more of it, for the report
 * @param testSource more of it, for the report
 * @param trainingSource source text for methods that train with it; null for none
 */
public record SweepData(
        Batches training,
        Batches validationTarget,
        Batches validationSource,
        Batches testTarget,
        Batches testSource,
        @Nullable Batches trainingSource) {

    /**
     * Checks that no text but the last is missing.
     *
     * @param training         target text to train on
     * @param validationTarget held-out target text
     * @param validationSource held-out source text
     * @param testTarget       more of it, for the report
     * @param testSource       more of it, for the report
     * @param trainingSource   source text for methods that train with it; null for none
     * @throws NullPointerException if a text is missing; the message names it
     */
    public SweepData {
        Objects.requireNonNull(training, "training");
        Objects.requireNonNull(validationTarget, "validationTarget");
        Objects.requireNonNull(validationSource, "validationSource");
        Objects.requireNonNull(testTarget, "testTarget");
        Objects.requireNonNull(testSource, "testSource");
    }

    /**
     * Makes data without source text to train with.
     *
     * @param training         target text to train on
     * @param validationTarget held-out target text
     * @param validationSource held-out source text
     * @param testTarget       more of it, for the report
     * @param testSource       more of it, for the report
     * @throws NullPointerException if a text is missing; the message names it
     */
    public SweepData(
            Batches training,
            Batches validationTarget,
            Batches validationSource,
            Batches testTarget,
            Batches testSource) {
        this(training, validationTarget, validationSource, testTarget, testSource, null);
    }

    /**
     * {@return these texts, and source text for methods that train with it}
     *
     * @param text source text, another than that of validation and test; null for none
     */
    public SweepData withTrainingSource(@Nullable Batches text) {
        return new SweepData(training, validationTarget, validationSource, testTarget, testSource, text);
    }

    /** @throws IllegalArgumentException if a method trains with source text and there is none */
    void requireFits(FinetuneMethod method) {
        if (method.needsSource() && trainingSource == null) {
            throw new IllegalArgumentException(
                    "trainingSource: expected source text, which " + method + " trains with, got none");
        }
    }

    /**
     * {@return SHA-256 of each text by its name, of all its batches and the name of its measure, if it has one}
     *
     * @throws IllegalArgumentException if a text is empty, source is equal to target, test equal to validation, or a
     *     held-out text equal to the training text
     */
    public Map<String, String> identities() {
        Map<String, String> identities = new LinkedHashMap<>();
        identities.put("training", BatchesDigest.sha256("training", training));
        if (trainingSource != null) {
            identities.put("trainingSource", BatchesDigest.sha256("trainingSource", trainingSource));
        }
        identities.put("validationTarget", BatchesDigest.sha256("validationTarget", validationTarget));
        identities.put("validationSource", BatchesDigest.sha256("validationSource", validationSource));
        identities.put("testTarget", BatchesDigest.sha256("testTarget", testTarget));
        identities.put("testSource", BatchesDigest.sha256("testSource", testSource));
        Map<String, String> byIdentity = new LinkedHashMap<>();
        identities.forEach((name, identity) -> {
            String same = byIdentity.putIfAbsent(identity, name);
            if (same != null) {
                throw new IllegalArgumentException(
                        name + ": expected another text than " + same + ", got the same batches");
            }
        });
        return identities;
    }

    /** SHA-256 of the features, labels and masks of all batches of a text, of their number, and of its measure's name. */
    private static final class BatchesDigest {

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
            if (batches instanceof Batches.Measured measured) {
                digest.digest.update(measured.name().getBytes(StandardCharsets.UTF_8));
            }
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
}
