package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.sweep.space.FinetuneMethod;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The texts of a sweep. Candidates are trained on target text, chosen by their losses on validation text, and reported
 * on test text, which plays no part in the choice. "Target" is what is to be learned, "source" what must not be
 * forgotten.
 *
 * @param training         target text to train on; every candidate gets the same batches
 * @param validationTarget held-out target text
 * @param validationSource held-out source text
 * @param testTarget       more of it, for the report
 * @param testSource       more of it, for the report
 * @param trainingSource   source text for methods that train with it; null for none
 */
public record SweepData(
        Batches training,
        Batches validationTarget,
        Batches validationSource,
        Batches testTarget,
        Batches testSource,
        Batches trainingSource) {

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
     * Without source text to train with.
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
    public SweepData withTrainingSource(Batches text) {
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
     * {@return SHA-256 of each text by its name, of all its batches}
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
}
