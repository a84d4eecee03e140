package io.github.dl4jretention.samples;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.apache.commons.io.FileUtils;

/**
 * The folder of a finetuning: checkpoints as long as it isn't done, then the tuned model, its adapters and the report.
 *
 * @param path of the folder
 */
record FinetuneFolder(Path path) {

    private static final String TUNED = "tuned";
    private static final String ADAPTERS = "adapters";

    /** Where checkpoints are. */
    Path run() {
        return path.resolve("run");
    }

    Path tuned() {
        return path.resolve(TUNED);
    }

    Path adapters() {
        return path.resolve(ADAPTERS);
    }

    /** Whether the run was killed, before or after all of its results were there. */
    boolean isKilled() {
        return Files.isDirectory(run());
    }

    /** Whether the run was killed when all of its results were there. */
    boolean isDone() {
        return isKilled() && Files.exists(path.resolve(FinetuneReport.RESULTS));
    }

    /** Whether it's new or empty. */
    boolean isFree() throws IOException {
        if (!Files.exists(path)) {
            return true;
        }
        if (!Files.isDirectory(path)) {
            return false;
        }
        try (Stream<Path> files = Files.list(path)) {
            return files.findAny().isEmpty();
        }
    }

    /** Makes it, without what a kill left of a folder that was being written. */
    void open() throws IOException {
        Files.createDirectories(path);
        try (DirectoryStream<Path> parts = Files.newDirectoryStream(path, ".{" + TUNED + "," + ADAPTERS + "}.part*")) {
            for (Path part : parts) {
                FileUtils.deleteDirectory(part.toFile());
            }
        }
    }

    /** Deletes the checkpoints. */
    void deleteRun() throws IOException {
        FileUtils.deleteDirectory(run().toFile());
    }
}
