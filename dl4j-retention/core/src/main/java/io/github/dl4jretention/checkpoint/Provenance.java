package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.internal.JsonFields;
import io.github.dl4jretention.internal.SameDiffText;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.samediff.SameDiffLossState;
import io.github.dl4jretention.teacher.NetworkIdentity;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * How a student was made. Every checkpoint of a {@link FinetuningRun} holds it. So does the student that the run
 * returns, wherever you save it. {@link #write} saves it with a detached network:
 *
 * <pre>{@code
 * Provenance provenance = Provenance.of(student, "Scala sources, 2023", seed);
 * provenance.write(Retention.detach(student), Path.of("tuned.zip"));
 * String json = Provenance.read(Path.of("tuned.zip")).toJson();
 * }</pre>
 *
 * @param teacher the teacher's SHA-256, see {@link NetworkIdentity}; null if the student met none
 * @param losses the loss of each output by its name: "output" for a MultiLayerNetwork, the logits for SameDiff
 * @param model SHA-256 of the model that {@link #write} saved with it, which identifies it if it becomes a teacher;
 *     else null
 * @param data the user's description of the training data
 * @param seed of training
 * @param iteration minibatches trained
 * @param epoch epochs finished
 * @param versions what it was trained with
 */
@JsonFields
public record Provenance(
        @JsonProperty(value = "teacher", required = true) @Nullable String teacher,
        @JsonProperty(value = "losses", required = true) Map<String, Loss> losses,
        @JsonProperty("model") @Nullable String model,
        @JsonProperty(value = "data", required = true) String data,
        @JsonProperty(value = "seed", required = true) long seed,
        @JsonProperty(value = "iteration", required = true) int iteration,
        @JsonProperty(value = "epoch", required = true) int epoch,
        @JsonProperty(value = "versions", required = true) Versions versions) {

    static final String ENTRY = "provenance.json";
    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");

    /**
     * The loss of an output.
     *
     * @param configuration the loss
     * @param coefficient   lambda as the next minibatch is trained with
     */
    @JsonFields
    public record Loss(
            @JsonProperty(value = "configuration", required = true) RetentionConfiguration configuration,
            @JsonProperty(value = "coefficient", required = true) double coefficient) {

        /**
         * Checks the configuration.
         *
         * @param configuration the loss, not null
         * @param coefficient   lambda
         */
        @JsonCreator
        public Loss {
            Objects.requireNonNull(configuration, "configuration");
        }
    }

    /**
     * Checks every part.
     *
     * @param teacher   the teacher's SHA-256; null if the student met none
     * @param losses    by the names of outputs; copied
     * @param model     SHA-256 of the model saved with it; null for none
     * @param data      the user's description of the training data; not null
     * @param seed      of training
     * @param iteration minibatches trained
     * @param epoch     epochs finished
     * @param versions  what it was trained with; not null
     * @throws IllegalArgumentException if a SHA-256 is none
     */
    @JsonCreator
    public Provenance {
        requireSha256(teacher, "teacher");
        requireSha256(model, "model");
        losses = Map.copyOf(losses);
        Objects.requireNonNull(data, "data");
        Objects.requireNonNull(versions, "versions");
    }

    /**
     * {@return the provenance of a student as it is now, on this machine}
     *
     * @param student with its retention layer, not detached
     * @param data    a description of the training data
     * @param seed    of training
     * @throws IllegalArgumentException if the network is no student
     */
    public static Provenance of(MultiLayerNetwork student, String data, long seed) {
        return of(new MultiLayerStudent(student), data, seed);
    }

    /**
     * {@return the same as {@link #of(MultiLayerNetwork, String, long)}, with the loss of every retention output}
     *
     * @param student with its retention layers, not detached
     * @param data    a description of the training data
     * @param seed    of training
     * @throws IllegalArgumentException if the graph is no student
     */
    public static Provenance of(ComputationGraph student, String data, long seed) {
        return of(new GraphStudent(student), data, seed);
    }

    /**
     * {@return the same as {@link #of(MultiLayerNetwork, String, long)}, of a graph that has been given its training
     * configuration}
     *
     * @param student with its retention loss
     * @param data    a description of the training data
     * @param seed    of training
     * @throws IllegalArgumentException if the graph has no training configuration
     * @throws IllegalStateException if it has no {@link io.github.dl4jretention.loss.RetentionLoss}
     */
    public static Provenance of(SameDiff student, String data, long seed) {
        return of(new SameDiffStudent(student), data, seed);
    }

    private static Provenance of(Student<?> student, String data, long seed) {
        return new Provenance(
                student.teacher(),
                student.losses(),
                null,
                data,
                seed,
                student.iterationCount(),
                student.epochCount(),
                Versions.current());
    }

    /**
     * {@return the provenance of a model file: a checkpoint, a file of {@link #write}, or a student's that DL4J or
     * SameDiff saved} If no run trained the network, or it was trained further since, only its teacher, its losses and
     * its counters are known.
     *
     * @param file to read; no model is made of it
     * @throws IOException if the file is missing, damaged, or has none; the message names it
     */
    public static Provenance read(Path file) throws IOException {
        return SavedProvenance.read(file);
    }

    /**
     * Saves a network with this provenance as a model file of DL4J. The file appears complete or not at all.
     *
     * @param model the student, or detached
     * @param file  to write; replaced if it is there
     * @throws IOException if it cannot be written
     */
    public void write(MultiLayerNetwork model, Path file) throws IOException {
        write(MultiLayerStudent.entries(model), NetworkIdentity.sha256(model), file);
    }

    /**
     * The same as {@link #write(MultiLayerNetwork, Path)}.
     *
     * @param model the student, or detached
     * @param file  to write; replaced if it is there
     * @throws IOException if it cannot be written
     */
    public void write(ComputationGraph model, Path file) throws IOException {
        write(GraphStudent.entries(model), NetworkIdentity.sha256(model), file);
    }

    /**
     * Saves a graph with its updater's state and this provenance, which the graph keeps: a file for
     * {@code SameDiff.load}.
     *
     * @param model the student
     * @param file  to write; replaced if it is there
     * @throws IOException if it cannot be written
     * @throws IllegalStateException if the graph has no {@link io.github.dl4jretention.loss.RetentionLoss}
     */
    public void write(SameDiff model, Path file) throws IOException {
        String sha256 =
                NetworkIdentity.sha256(model, SameDiffLossState.of(model).logits());
        SameDiffText.write(model, SameDiffText.PROVENANCE, withModel(sha256).toJson());
        AtomicFile.write(file, SameDiffStudent.content(model));
    }

    private void write(Map<String, AtomicFile.Content> entries, String sha256, Path file) throws IOException {
        AtomicFile.write(file, out -> {
            CheckedZip.Writer zip = new CheckedZip.Writer(out);
            for (Map.Entry<String, AtomicFile.Content> entry : entries.entrySet()) {
                zip.add(entry.getKey(), entry.getValue());
            }
            zip.add(ENTRY, withModel(sha256)::writeTo);
            zip.finish();
        });
    }

    private Provenance withModel(String sha256) {
        return new Provenance(teacher, losses, sha256, data, seed, iteration, epoch, versions);
    }

    void writeTo(OutputStream out) throws IOException {
        out.write(toJson().getBytes(StandardCharsets.UTF_8));
    }

    private static void requireSha256(@Nullable String found, String name) {
        if (found != null && !SHA256.matcher(found).matches()) {
            throw new IllegalArgumentException(name + ": expected a SHA-256 of 64 hexadecimal digits, got " + found);
        }
    }

    /** {@return this as indented JSON} */
    public String toJson() {
        return Json.write(this);
    }
}
