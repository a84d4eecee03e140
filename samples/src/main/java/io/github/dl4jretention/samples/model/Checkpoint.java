package io.github.dl4jretention.samples.model;

import io.github.dl4jretention.teacher.NetworkIdentity;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.SerializationFeature;

/**
 * A saved sample model with a note beside it of what made it: {@code transformer.zip} and {@code transformer.json}. A
 * model whose weights are not those that the note was written for is refused.
 *
 * @param network    the model, without updater state
 * @param provenance what made it
 */
public record Checkpoint(MultiLayerNetwork network, PretrainingRecord provenance) {

    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    /**
     * Writes both files, each complete or not at all.
     *
     * @param model the {@code .zip} to write; the provenance goes beside it
     */
    public static void save(MultiLayerNetwork network, PretrainingRecord made, Path model) throws IOException {
        Files.createDirectories(model.toAbsolutePath().getParent());
        Path part = Path.of(model + ".part");
        ModelSerializer.writeModel(network, part.toFile(), false);
        Files.move(part, model, StandardCopyOption.REPLACE_EXISTING);
        PretrainingRecord complete = made.withNetworkSha256(NetworkIdentity.sha256(network));
        Files.writeString(part, JSON.writeValueAsString(complete) + "\n");
        Files.move(part, provenanceFile(model), StandardCopyOption.REPLACE_EXISTING);
    }

    /**
     * Reads a model and its provenance.
     *
     * @throws IOException if a file is missing, unreadable, or the weights are not those of the provenance; the message
     *     names the file and, for a mismatch, both hashes
     */
    public static Checkpoint load(Path model) throws IOException {
        PretrainingRecord provenance = readProvenance(provenanceFile(model));
        MultiLayerNetwork network = loadNetwork(model);
        String found = NetworkIdentity.sha256(network);
        if (!found.equals(provenance.networkSha256())) {
            throw new IOException("model " + model + ": its weights (SHA-256 " + found
                    + ") are not those that its provenance " + provenanceFile(model) + " was written for (SHA-256 "
                    + provenance.networkSha256() + ")");
        }
        return new Checkpoint(network, provenance);
    }

    /**
     * Reads a model that has no provenance, a user's own.
     *
     * @throws IOException if the file is missing or no MultiLayerNetwork
     */
    public static MultiLayerNetwork loadNetwork(Path model) throws IOException {
        if (!Files.isReadable(model)) {
            throw new IOException("model: no readable file " + model);
        }
        try {
            return MultiLayerNetwork.load(model.toFile(), false);
        } catch (IOException | RuntimeException e) {
            throw new IOException(
                    "model " + model + ": expected a MultiLayerNetwork saved by DL4J's ModelSerializer", e);
        }
    }

    private static PretrainingRecord readProvenance(Path file) throws IOException {
        if (!Files.isReadable(file)) {
            throw new IOException("provenance: no readable file " + file);
        }
        try {
            return JSON.readValue(Files.readString(file), PretrainingRecord.class);
        } catch (JsonProcessingException e) {
            throw new IOException("provenance " + file + ": not readable as provenance: " + e.getOriginalMessage(), e);
        }
    }

    private static Path provenanceFile(Path model) {
        return model.resolveSibling(model.getFileName().toString().replaceFirst("\\.zip$", "") + ".json");
    }
}
