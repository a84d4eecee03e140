package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A folder that the version before modules left when it was stopped after three of four candidates. */
class OldSweepFolderTest {

    @TempDir
    private Path folder;

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Path copy = to.resolve(from.relativize(file).toString());
                if (Files.isDirectory(file)) {
                    Files.createDirectories(copy);
                } else {
                    Files.copy(file, copy);
                }
            }
        }
    }

    @Test
    void a_sweep_of_the_last_version_is_picked_up_where_it_stopped() throws IOException, URISyntaxException {
        copy(Path.of(OldSweepFolderTest.class.getResource("/sweep-0.1").toURI()), folder);
        SweepOutcome old = SweepOutcome.fromJson(Files.readString(folder.resolve("sweep.json")));
        assertEquals(3, old.complete().size());
        assertEquals(0.10000000000000002, old.candidates().get(0).coefficient());
        List<Integer> ran = new ArrayList<>();
        SweepOutcome outcome =
                SweepTest.sweep(folder).listener(SweepTest.noting(ran)).build().run();
        assertEquals(List.of(3), ran);
        assertEquals(4, outcome.complete().size());
        assertEquals(10.0, outcome.candidates().get(3).coefficient());
        for (int i = 0; i < 3; i++) {
            CandidateOutcome before = old.candidates().get(i);
            CandidateOutcome now = outcome.candidates().get(i);
            assertEquals(before.configuration(), now.configuration());
            assertEquals(before.validation(), now.validation());
            assertEquals(before.curve(), now.curve());
        }
        assertEquals(old.base(), outcome.base());
        assertTrue(outcome.finished());
        MultiLayerNetwork.load(folder.resolve("models/candidate-000.zip").toFile(), false);
    }
}
