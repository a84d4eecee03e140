package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.internal.SameDiffText;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.samediff.SameDiffLossState;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.graph.FlatGraph;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** Finds a provenance in the files of all kinds of models, without making a model of them. */
final class SavedProvenance {

    private static final byte[] ZIP = {'P', 'K'};

    private SavedProvenance() {}

    static Provenance read(Path file) throws IOException {
        if (!Files.isRegularFile(file) || !Files.isReadable(file)) {
            throw new IOException("file: expected a readable file, got " + file);
        }
        try {
            return isZip(file) ? ofNetwork(file) : ofSameDiff(file);
        } catch (RuntimeException e) {
            throw new IOException("file " + file + ": expected a student of DL4J or SameDiff, got: " + e, e);
        }
    }

    private static boolean isZip(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return Arrays.equals(in.readNBytes(ZIP.length), ZIP);
        }
    }

    private static Provenance ofNetwork(Path file) throws IOException {
        JsonNode network;
        try (CheckedZip zip = new CheckedZip(file)) {
            if (zip.has(Provenance.ENTRY)) {
                return Json.read(zip.bytes(Provenance.ENTRY), Provenance.class, file);
            }
            network = new ObjectMapper().readTree(zip.bytes(ModelSerializer.CONFIGURATION_JSON));
        }
        Map<String, RetentionOutputLayer> heads = heads(network);
        if (heads.isEmpty()) {
            throw new IOException(
                    "file " + file + ": expected a model with a provenance, it has none and is no student");
        }
        RetentionOutputLayer first = heads.values().iterator().next();
        int iteration = network.path("iterationCount").asInt();
        if (first.getProvenance() != null) {
            Provenance noted =
                    Json.read(first.getProvenance().getBytes(StandardCharsets.UTF_8), Provenance.class, file);
            if (isOf(noted, iteration)) {
                return noted;
            }
        }
        int epoch = network.path("epochCount").asInt();
        Map<String, Provenance.Loss> losses = new LinkedHashMap<>();
        heads.forEach((name, head) ->
                losses.put(name, new Provenance.Loss(head.getRetention(), head.coefficientAt(iteration, epoch))));
        JsonNode seed = network.findValue("seed");
        return new Provenance(
                first.getTeacher(),
                losses,
                null,
                "",
                seed == null ? 0 : seed.asLong(),
                iteration,
                epoch,
                Versions.unknown());
    }

    /** Else the model was trained on since, by something else than the run that noted it. */
    private static boolean isOf(Provenance noted, int iteration) {
        return noted.iteration() == iteration;
    }

    private static Map<String, RetentionOutputLayer> heads(JsonNode network) throws IOException {
        Map<String, RetentionOutputLayer> heads = new LinkedHashMap<>();
        for (JsonNode node : network.findParents("@class")) {
            if (node.get("@class").asText().equals(RetentionOutputLayer.class.getName())) {
                Layer layer = NeuralNetConfiguration.mapper().treeToValue(node, Layer.class);
                String name = network.has("vertices") ? layer.getLayerName() : RetentionLayers.OUTPUT;
                heads.put(name, (RetentionOutputLayer) layer);
            }
        }
        return heads;
    }

    private static ByteBuffer content(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            if (channel.size() > Integer.MAX_VALUE) {
                throw new IOException("file " + file + ": expected a student of DL4J or SameDiff, got " + channel.size()
                        + " bytes that are no zip; SameDiff's own files have at most 2 GB");
            }
            return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
        }
    }

    private static Provenance ofSameDiff(Path file) throws IOException {
        FlatGraph graph = FlatGraph.getRootAsFlatGraph(content(file));
        String saved = Objects.requireNonNullElse(graph.trainingConfig(), "{}");
        JsonNode training = Json.read(saved.getBytes(StandardCharsets.UTF_8), JsonNode.class, file);
        int iteration = training.path("iterationCount").asInt();
        Optional<String> own = SameDiffText.read(graph, SameDiffText.PROVENANCE);
        if (own.isPresent()) {
            Provenance noted = Json.read(own.get().getBytes(StandardCharsets.UTF_8), Provenance.class, file);
            if (isOf(noted, iteration)) {
                return noted;
            }
        }
        SameDiffLossState loss = SameDiffLossState.of(graph);
        return new Provenance(
                loss.teacher(),
                Map.of(loss.logits(), new Provenance.Loss(loss.configuration(), loss.coefficient())),
                null,
                "",
                0,
                iteration,
                training.path("epochCount").asInt(),
                Versions.unknown());
    }
}
