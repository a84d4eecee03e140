package io.github.dl4jretention.samples;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.commons.io.FileUtils;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import picocli.CommandLine.Model.CommandSpec;

/**
 * The folder of a decoder's pretraining: what it was begun with, the random start, checkpoints, losses, and the model.
 *
 * @param path of the folder
 */
record PretrainingFolder(Path path) {

    private static final String START = "start";
    private static final String BASE = "base";
    private static final String BEGUN_WITH = "pretraining.json";

    private static final ObjectMapper MAPPER = new ObjectMapper();

    /** The tokenizer with random weights. */
    Path start() {
        return path.resolve(START);
    }

    /** Where {@link #start} is written, to be moved when it's whole. */
    Path startPart() {
        return path.resolve(START + ".part");
    }

    /** Where checkpoints are. */
    Path run() {
        return path.resolve("run");
    }

    /** The model when all is done. */
    Path base() {
        return path.resolve(BASE);
    }

    boolean isDone() {
        return Files.exists(base());
    }

    /**
     * Makes it, or refuses it if what it has was begun with other settings. Deletes what a kill left of folders that were
     * being written, and the losses of a run that isn't there any more.
     *
     * @param settings values by the names of their options
     */
    void open(CommandSpec spec, Map<String, Object> settings) throws IOException {
        Errors.require(
                spec, !Files.exists(path) || Files.isDirectory(path), "--out: expected a folder, got the file " + path);
        Files.createDirectories(path);
        try (DirectoryStream<Path> parts = Files.newDirectoryStream(path, "{." + BASE + "," + START + "}.part*")) {
            for (Path part : parts) {
                FileUtils.deleteDirectory(part.toFile());
            }
        }
        Path begunWith = path.resolve(BEGUN_WITH);
        JsonNode given = MAPPER.valueToTree(settings);
        if (Files.exists(start()) || Files.exists(run()) || isDone()) {
            Errors.require(
                    spec,
                    Files.exists(begunWith),
                    "--out: expected a new folder, or one with the " + BEGUN_WITH + " of its pretraining, got " + path
                            + "; give another");
            JsonNode before = MAPPER.readTree(begunWith.toFile());
            for (String option : settings.keySet()) {
                String expected = before.path(option).asText();
                String got = given.path(option).asText();
                Errors.require(
                        spec,
                        expected.equals(got),
                        "%s: expected %s, with which the pretraining in %s was begun, got %s; give another --out, or delete that folder"
                                .formatted(option, expected, path, got));
            }
        } else {
            Files.writeString(begunWith, MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(given) + "\n");
        }
        if (!Files.exists(run()) && !isDone()) {
            PretrainingLog.delete(path);
        }
    }
}
