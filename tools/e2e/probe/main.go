// Command probe is what stand-ins run: it makes connections from where a service's pod would make them. Every command
// reads one JSON value, a Request, from stdin and answers with lines of JSON on stdout.
package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/ft-services/ft-services/tools/e2e/internal/ask"
	"github.com/ft-services/ft-services/tools/e2e/internal/reach"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "probe: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("one of the commands wait, dial, http, sql, write-sql, write-points")
	}
	if args[0] == "wait" {
		<-ctx.Done()
		return nil
	}
	input := bufio.NewReader(in)
	line, err := input.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	var request ask.Request
	if err := json.Unmarshal(line, &request); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	answer := json.NewEncoder(out)
	switch args[0] {
	case "dial":
		return answer.Encode(reach.All(ctx, request.Targets, request.Patience, len(request.Targets)))
	case "http":
		answered, err := fetch(ctx, request)
		if err != nil {
			return err
		}
		return answer.Encode(answered)
	case "sql":
		rows, err := query(ctx, request)
		if err != nil {
			return err
		}
		return answer.Encode(rows)
	case "write-sql", "write-points":
		// The end of the input is the sign to stop.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			_, _ = io.Copy(io.Discard, input)
			cancel()
		}()
		if args[0] == "write-sql" {
			return writeRows(ctx, request, answer)
		}
		return writePoints(ctx, request, answer)
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func fetch(ctx context.Context, request ask.Request) (ask.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, request.Patience)
	defer cancel()
	made, err := http.NewRequestWithContext(ctx, request.Method, request.URL, bytes.NewReader([]byte(request.Body)))
	if err != nil {
		return ask.Answer{}, err
	}
	if request.User != "" {
		made.SetBasicAuth(request.User, request.Password)
	}
	if request.ContentType != "" {
		made.Header.Set("Content-Type", request.ContentType)
	}
	response, err := http.DefaultClient.Do(made)
	if err != nil {
		return ask.Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return ask.Answer{}, err
	}
	return ask.Answer{Code: response.StatusCode, Body: string(body)}, nil
}

func open(request ask.Request) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = request.User, request.Password, request.Database
	config.Net, config.Addr = "tcp", request.Address
	config.Timeout, config.ReadTimeout, config.WriteTimeout = 2*time.Second, 5*time.Second, 5*time.Second
	// What goes wrong with a connection is said in the result, where it can be seen.
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// query returns the rows of all statements but the last one's dropped: they are there to prepare it.
func query(ctx context.Context, request ask.Request) ([][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, request.Patience)
	defer cancel()
	db, err := open(request)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	found := [][]string{}
	for _, statement := range request.Statements {
		rows, err := db.QueryContext(ctx, statement)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
		if found, err = read(rows); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return found, nil
}

func read(rows *sql.Rows) ([][]string, error) {
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	found := [][]string{}
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i, value := range values {
			row[i] = value.String
		}
		found = append(found, row)
	}
	return found, rows.Err()
}

// writeRows commits one numbered row after the other and says each number that the server has acknowledged. A number
// that was not acknowledged is never used again: whether its row is there is nobody's promise.
func writeRows(ctx context.Context, request ask.Request, acknowledge *json.Encoder) error {
	db, err := open(request)
	if err != nil {
		return err
	}
	defer db.Close()
	return writeAll(ctx, request, acknowledge, func(ctx context.Context, number int) error {
		_, err := db.ExecContext(ctx, "INSERT INTO "+request.Table+" (number) VALUES (?)", number)
		return err
	})
}

func writePoints(ctx context.Context, request ask.Request, acknowledge *json.Encoder) error {
	return writeAll(ctx, request, acknowledge, func(ctx context.Context, number int) error {
		one := request
		one.Method, one.Patience = http.MethodPost, 5*time.Second
		// Each at a time of its own: a point at the same time replaces the other.
		one.Body = fmt.Sprintf("%s number=%di %d", request.Table, number, time.Now().UnixNano())
		answer, err := fetch(ctx, one)
		if err == nil && answer.Code != http.StatusNoContent {
			err = fmt.Errorf("%d %s", answer.Code, answer.Body)
		}
		return err
	})
}

func writeAll(ctx context.Context, request ask.Request, acknowledge *json.Encoder, write func(context.Context, int) error) error {
	for number := 1; ; number++ {
		// A write that has begun is ended, so that the last number is not left open.
		err := write(context.WithoutCancel(ctx), number)
		written := ask.Written{Number: number}
		if err != nil {
			written.Error = err.Error()
		}
		if err := acknowledge.Encode(written); err != nil {
			return err
		}
		pause := request.Pause
		if err != nil {
			pause = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}
