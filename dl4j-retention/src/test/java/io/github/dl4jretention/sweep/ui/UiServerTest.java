package io.github.dl4jretention.sweep.ui;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.SweepListener;
import io.github.dl4jretention.sweep.SweepTexts;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.arbiter.ui.listener.ArbiterStatusListener;
import org.deeplearning4j.core.storage.StatsStorage;
import org.deeplearning4j.ui.api.UIServer;
import org.deeplearning4j.ui.model.storage.InMemoryStatsStorage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;

/** DL4J's user interface on a port of its own, with this library's page and Arbiter's. */
class UiServerTest {

    private static final String PORT = "org.deeplearning4j.ui.port";

    @TempDir
    private Path folder;

    private final HttpClient client = HttpClient.newHttpClient();

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    private String get(UIServer server, String path) {
        try {
            HttpResponse<String> response = client.send(
                    HttpRequest.newBuilder(URI.create("http://localhost:" + server.getPort() + path))
                            .build(),
                    HttpResponse.BodyHandlers.ofString());
            assertEquals(200, response.statusCode(), path);
            return response.body();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** What Arbiter's page polls; Arbiter answers 500 until it has been told of the sweep, by a thread of its own. */
    private String arbiter(UIServer server) {
        URI uri = URI.create("http://localhost:" + server.getPort() + "/arbiter/lastUpdate");
        return assertTimeoutPreemptively(Duration.ofSeconds(60), () -> {
            HttpResponse<String> response;
            do {
                response = client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
            } while (response.statusCode() == 500);
            assertEquals(200, response.statusCode());
            return response.body();
        });
    }

    @Test
    void a_running_sweep_is_shown_beside_arbiters_own_page() throws Exception {
        System.setProperty(PORT, String.valueOf(freePort()));
        UIServer server = UIServer.getInstance();
        try {
            StatsStorage storage = new InMemoryStatsStorage();
            server.attach(storage);
            assertTrue(get(server, "/retention").contains("No sweep has reported yet"));
            List<String> pages = new ArrayList<>();
            List<String> arbiter = new ArrayList<>();
            SweepOutcome outcome = Sweep.builder()
                    .model(FinetuneModel.of(Networks.lstm(DataType.DOUBLE, 1)))
                    .data(SweepTexts.data(DataType.DOUBLE))
                    .space(FinetuneSpace.builder()
                            .retention(RetentionSpace.builder()
                                    .coefficient(0.1, 10)
                                    .build())
                            .steps(3)
                            .build())
                    .search(Search.grid(3))
                    .folder(folder)
                    .listener(new SweepStatsListener("test", storage))
                    .statusListener(new ArbiterStatusListener(storage))
                    .listener(new SweepListener() {
                        @Override
                        public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
                            pages.add(get(server, "/retention"));
                            arbiter.add(arbiter(server));
                        }
                    })
                    .build()
                    .run();
            assertEquals(3, outcome.complete().size());
            for (int i = 0; i < 3; i++) {
                assertTrue(pages.get(i).contains((i + 1) + " of 3 candidates"), pages.get(i));
            }
            assertTrue(get(server, "/retention").contains("3 candidates, 3 complete"));
            assertTrue(get(server, "/arbiter").contains("Arbiter"));
            assertEquals(3, arbiter.size());
        } finally {
            UIServer.stopInstance();
            System.clearProperty(PORT);
        }
    }
}
